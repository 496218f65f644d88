"""What helix raises. Every error is a HelixError and also the built-in that a Python user expects.

`error.code` is the stable number ("HX1002"), `error.op` the operation; `explain(code)` documents it.
"""


class HelixError(Exception):
    """Base of all errors of helix."""

    def __init__(self, *arguments, op=None, code=None):
        super().__init__(*arguments)
        self.op = op
        self.code = code

    def __reduce__(self):
        return _rebuild, (type(self), self.args, self.op, self.code)


def _rebuild(cls, arguments, op, code):
    return cls(*arguments, op=op, code=code)


class ShapeError(HelixError, ValueError):
    """Sizes or numbers of dimensions that do not fit each other."""


class DTypeError(HelixError, TypeError):
    """A data type that an operation does not take."""


class DeviceError(HelixError, RuntimeError):
    """Tensors on different devices, or a device that is not there."""


class DeviceLostError(DeviceError):
    """A device stopped answering."""


class DeviceTimeoutError(HelixError, TimeoutError):
    """A device did not answer in time."""


class IndexRangeError(HelixError, IndexError):
    """An index or dimension outside its range."""


class ParameterError(HelixError, ValueError):
    """A parameter outside its domain."""


class SizeOverflowError(HelixError, OverflowError):
    """A size or number that does not fit."""


class OutOfMemoryError(HelixError, MemoryError):
    """Not enough memory, or more than the set limit."""


class GradientError(HelixError, RuntimeError):
    """A gradient that cannot be had."""


class UnsupportedOpError(HelixError, NotImplementedError):
    """No kernel and no decomposition, or a mode that an op does not have."""


class ArgumentError(HelixError, TypeError):
    """An argument of the wrong kind, missing, unknown or given twice."""


class TraceError(HelixError, RuntimeError):
    """Values were needed while only shapes are known."""


class CompileError(HelixError, RuntimeError):
    """A device compiler refused a kernel."""


class InternalError(HelixError, RuntimeError):
    """A fault in helix itself."""


class FormatError(HelixError, ValueError):
    """A file that does not follow its format."""


class CheckpointError(HelixError, OSError):
    """A checkpoint that is damaged or incomplete."""


class BackendLoadError(HelixError, ImportError):
    """A backend plugin that cannot be used."""


class MissingExtraError(HelixError, ImportError):
    """A feature whose optional package is not installed."""


# Numbers of the Python layers; those of the core are documented by the core.
_TEXTS = {
    2001: "HX2001: the file is not a safetensors file, or its header is damaged: the length of the header is wrong, or "
    "it is not the JSON that the format asks for. Nothing was loaded. Get the file again from its source.",
    2002: "HX2002: a tensor in a safetensors file has a dtype that helix does not know.",
    2003: "HX2003: the byte ranges in a safetensors header do not fit: they overlap, leave holes, reach past the end "
    "of the file, or differ from what shape and dtype need. Nothing was loaded.",
    2004: "HX2004: something was asked to be saved that a safetensors file cannot hold: names and metadata are strings, "
    "values are tensors.",
    2005: "HX2005: a JSON file could not be read: it is not JSON, or larger than the limit.",
}


def explain(code):
    """The documentation of an error number: `explain("HX1002")`, `explain(1002)` or `explain(error)`.

    >>> explain("HX1002").startswith("HX1002")
    True
    """
    from helix import _core

    code = getattr(code, "code", code)
    text = str(code).upper().removeprefix("HX")
    if not text.isdigit():
        raise ParameterError(f"HX1403 explain: {code!r} is not an error number such as 'HX1002'.", op="explain", code="HX1403")
    found = _TEXTS.get(int(text)) or _core.explain(int(text))
    if found is None:
        raise ParameterError(f"HX1403 explain: there is no error HX{text}.", op="explain", code="HX1403")
    return found if found.startswith("HX") else f"HX{text}: {found}"


def codes():
    """All documented error numbers: ["HX1001", ...]."""
    from helix import _core

    return [f"HX{number}" for number in sorted({*_core.error_numbers(), *_TEXTS})]
