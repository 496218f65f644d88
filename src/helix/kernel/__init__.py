"""The kernel language: kernels written once, as typed instructions, and rendered to each device's own language."""

from helix.kernel.build import Builder, Value
from helix.kernel.ir import Kernel, KernelError, UnsupportedError
from helix.kernel.passes import legalize, source_of
from helix.kernel.raw import RawKernel, raw
from helix.kernel.render import Renderer
from helix.kernel.renderers import register, renderers

__all__ = [
    "Builder", "Kernel", "KernelError", "RawKernel", "Renderer", "UnsupportedError", "Value", "legalize", "raw", "register",
    "renderers", "source_of",
]  # fmt: skip
