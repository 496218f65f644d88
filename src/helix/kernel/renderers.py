"""Which renderer writes for which kind of source. A backend with a language of its own adds its class."""

from __future__ import annotations

from helix.kernel.c import CRenderer
from helix.kernel.cuda import CudaRenderer
from helix.kernel.ir import KernelError
from helix.kernel.metal import MetalRenderer
from helix.kernel.opencl import OpenCLRenderer
from helix.kernel.render import Renderer
from helix.kernel.wgsl import WGSLRenderer

renderers: dict[str, type[Renderer]] = {
    r.kind: r for r in (CRenderer, OpenCLRenderer, CudaRenderer, MetalRenderer, WGSLRenderer)
}


def register(renderer: type[Renderer]) -> None:
    """Makes a renderer the one for its kind of source."""
    if not renderer.kind:
        raise KernelError(f"{renderer.__name__} names no kind of source")
    renderers[renderer.kind] = renderer


def renderer_of(kind: str) -> type[Renderer]:
    if kind not in renderers:
        raise KernelError(f"no renderer for '{kind}'; there are {', '.join(sorted(renderers))}")
    return renderers[kind]
