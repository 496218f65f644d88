"""All templates: importing this module fills the registry."""

from helix.kernel import elementwise, reduce
from helix.kernel.registry import offered

__all__ = ["elementwise", "offered", "reduce"]
