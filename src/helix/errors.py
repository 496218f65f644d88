"""What helix raises. Every error is a HelixError and also the built-in that a Python user expects.

`error.code` is the stable number ("HX1002"), `error.op` the operation; `explain(code)` documents it. Where they are known,
`error.argument` is the parameter at fault, `error.expected` and `error.got` what clashes, and `error.axis` where.
"""

from typing import Any


class HelixError(Exception):
    """Base of all errors of helix. Raised inside a network, `layer` is the innermost module and `module_path` its dotted path."""

    layer: Any = None
    module_path = ""
    _child: Any = None  # the module that raised or passed it on last

    def __init__(
        self,
        *arguments: Any,
        op: str | None = None,
        code: str | None = None,
        argument: str | None = None,
        expected: Any = None,
        got: Any = None,
        axis: Any = None,
    ) -> None:
        super().__init__(*arguments)
        self.op = op
        self.code = code if code is not None else _leading_number(arguments)
        self.argument = argument
        self.expected = expected
        self.got = got
        self.axis = axis

    @property
    def facts(self) -> dict[str, Any]:
        """{"op": …, "code": …, "argument": …, "expected": …, "got": …, "axis": …}: what the message says, for tools."""
        return {name: getattr(self, name) for name in _FACTS}

    def __reduce__(self):
        return type(self), self.args, self.facts


_FACTS = ("op", "code", "argument", "expected", "got", "axis")


def _leading_number(arguments: tuple[Any, ...]) -> str | None:
    """ "HX3101" of a text that begins with it."""
    first = arguments[0].split(" ", 1)[0] if arguments and isinstance(arguments[0], str) else ""
    return first if first.startswith("HX") and first[2:].isdigit() else None


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


class LinAlgError(ParameterError, RuntimeError):
    """A matrix that has no such result: a singular one without inverse, for instance."""


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


class GraphError(HelixError, ValueError):
    """A change to a graph that would leave it without meaning."""


class CompileError(HelixError, RuntimeError):
    """A device compiler refused a kernel."""


class InternalError(HelixError, RuntimeError):
    """A fault in helix itself."""


class FormatError(HelixError, ValueError):
    """A file that does not follow its format."""


class CheckpointError(HelixError, OSError):
    """A checkpoint that is damaged or incomplete."""


class ConfigError(HelixError, ValueError):
    """A configuration, or the folder of a run, that does not say what it must."""


class TrainingError(HelixError, RuntimeError):
    """A training that cannot go on."""


class BackendLoadError(HelixError, ImportError):
    """A backend plugin that cannot be used."""


class BackendUnavailable(DeviceError, BackendLoadError):
    """A device whose backend is not installed, or cannot be used here."""


class CompileWarning(UserWarning):
    """A function that helix.compile was given runs as it is: something in it cannot be captured."""


class FallbackWarning(UserWarning):
    """A device has no kernel for an op, so the CPU runs it on copies."""


class ExportError(HelixError, RuntimeError):
    """A model was written that does not compute what helix computes, or that its format's checker refuses."""


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
    2101: "HX2101: a file declares more than is decoded by default, for instance an image of more than 64 Mpx. It is refused "
    "before anything is decoded, because such files are mostly made to exhaust memory. Shrink the file with a tool of your trust.",
    2102: "HX2102: a tokenizer.json holds a part that helix does not know, or is misshapen. Nothing is guessed: a tokenizer that "
    "differs in one rule gives other tokens. helix reads byte pair encodings; use the library that made the file for others.",
    2103: "HX2103: a file of numbers is not what it was said to be: an .npy file that is damaged or holds a pickle, or a file of "
    "tokens with a rest. Nothing was loaded.",
    2201: "HX2201: a feature needs a package that is not installed. The message holds the pip line that brings it. helix itself "
    "needs few packages; all others are extras.",
    3001: "HX3001: a checkpoint could not be written: the disk is full, read-only or failing. What was written of it is deleted; "
    "the checkpoints before it are untouched. Make room, then helix resume.",
    3002: "HX3002: a checkpoint is damaged: a file is missing or fails its checksum. As a warning, an older good one was taken "
    "and the steps between are repeated; as an error, there is no good one.",
    3003: "HX3003: a state_dict does not fit the model. All missing, unexpected and misshapen names are listed, with the nearest "
    "name on the other side, and nothing was loaded. strict=False loads the names that fit.",
    3004: "HX3004: an optimizer's state belongs to other parameters. States are kept under parameter names: make the optimizer "
    "from model.named_parameters() on both sides.",
    3011: "HX3011: a folder of a ready model has no usable config.json: the folder or the file is missing, is not JSON, does not "
    "name its model_type, or lacks a value that the model needs. Name the folder that holds config.json and the weights.",
    3012: "HX3012: a config.json names a kind of model, or a variant of it, that helix does not have. The message lists those that "
    "it has.",
    3013: "HX3013: the weights of a ready model cannot be read: a file is missing, its name leads out of the folder, or there are "
    "only pickles, which can run code when they are read. Have the makers' library write the model again as safetensors.",
    3101: "HX3101: a configuration cannot be read, or holds an unknown key or a bad value. helix config schema lists all keys, "
    "helix config show FILE prints the file with all defaults filled in.",
    3102: "HX3102: the kind of model is unknown, cannot be imported, or does not take the options given.",
    3103: "HX3103: a folder is not that of a run, or was written by a newer helix.",
    3104: "HX3104: another process is training in this run folder. Two would spoil each other's files; wait, or end the other.",
    3105: "HX3105: a model was asked about something that is not of the shape or kind it was trained on.",
    3106: "HX3106: a new training was to write into a folder that holds the checkpoints of another. A later resume could not "
    "tell them apart. Go on with the old one, or name another folder.",
    3201: "HX3201: the loss is NaN or infinite. Training stopped before the model was changed, and the last checkpoint is good. "
    "Usual causes: a learning rate that is too large, values that are not scaled, log or division of 0 in the loss.",
    3202: "HX3202: a parameter is NaN or infinite, so no checkpoint was written over the good ones. Causes and help as for HX3201.",
    3203: "HX3203: the gradients are NaN or infinite, so the model was not changed. Causes and help as for HX3201; nonfinite='skip' "
    "leaves such steps out, up to 100 in a row.",
}

_TEXTS |= {
    4001: "HX4001: a change would leave a graph without meaning: a value taken before it is made, a replacement of another shape or "
    "dtype, a node removed whose result is still taken. The message names values and ops; graph.check() looks over a whole graph.",
}

_TEXTS |= {
    4010: "HX4010: a file of a graph is not sound: it is of a later format, names ops, parameters, dtypes or devices that are not "
    "here, tells shapes that the ops do not give, takes values before they are made, or its tensors are absent or of another shape. "
    "Nothing was loaded.",
    4011: "HX4011: a graph has something that a file cannot hold: numbers, texts, dtypes and shapes can be saved, functions and "
    "other objects among a graph's arguments cannot. Trace it with plain values.",
    4020: "HX4020: an ONNX file is not sound, or asks for more than helix.onnx.Limits allow: it is no protobuf message, values are taken "
    "before they are made, attributes are absent or unknown, tensors have other numbers of bytes than their shapes need, or their data "
    "lies outside of the model's folder or behind a link. Nothing was loaded.",
    4021: "HX4021: an ONNX file has an operator, an element type or a kind of value that helix does not have. The message names the node. "
    "docs/onnx.md lists what there is; onnx.version_converter writes older operators as newer ones.",
    4022: "HX4022: a node of an ONNX model cannot compute what it was given: shapes or attributes that do not fit each other, or a "
    "result above the limits. The message names node, operator and inputs.",
    4030: "HX4030: a graph has something that ONNX cannot express: an op without an operator and without parts that have one, random "
    "numbers, writes in place. The message names op, module and line. Export a model in eval mode; docs/onnx.md lists the ops.",
    4031: "HX4031: a model was written in the ONNX format, and its checker refuses it, or a runtime computes something else than helix, "
    "or fails. The message names the result, the difference and the first node that differs. No file was left behind. Another "
    "tolerance= says how much may differ, check=False writes without looking.",
    5001: "HX5001: the device that was asked for cannot be used: no installed package offers it, or the package failed when it "
    "was loaded, or its hardware or driver is absent. The message names package, version, cause and what to do; helix devices "
    "shows the same for every installed backend. Other devices, the CPU among them, are not affected.",
    5002: "HX5002: a backend cannot be registered under this name: it is one that helix keeps for itself, it is not made of "
    "lower-case letters, digits and _, or another backend has it.",
    5003: "HX5003: a method of a backend written in Python raised an exception. The message names device, method and exception; "
    "the exception itself, with its traceback, is the cause of the error. Report it to the makers of the backend.",
    5004: "HX5004: the simulated device found a fault: a race between streams, a use of freed memory, an access outside a block, "
    "or memory freed twice. The message names both operations. It is a fault of helix or of the kernel, which real hardware "
    "would answer with wrong numbers now and then.",
    5005: "HX5005: a device gave wrong numbers for a small piece of work whose result is known, when device auto measured it. It "
    "is not chosen. Run python -m helix.testing.conformance with its name, and report the result to the makers of the backend.",
    5006: "HX5006: a device's compiler refused a kernel. The message holds what the compiler said. For a kernel of your own, mend "
    "its text; for one that helix made, please report the message.",
}


def explain(code):
    """The documentation of an error number: `explain("HX1002")`, `explain(1002)` or `explain(error)`.

    >>> helix.errors.explain("HX1002").startswith("HX1002")
    True
    """
    from helix import _core

    code = getattr(code, "code", code)
    text = str(code).upper().removeprefix("HX")
    if not text.isdigit():
        raise ParameterError(
            f"HX1403 explain: {code!r} is not an error number such as 'HX1002'.", op="explain", code="HX1403"
        )
    found = _TEXTS.get(int(text)) or _core.explain(int(text))
    if found is None:
        raise ParameterError(f"HX1403 explain: there is no error HX{text}.", op="explain", code="HX1403")
    return found if found.startswith("HX") else f"HX{text}: {found}"


def codes():
    """All documented error numbers: ["HX1001", ...]."""
    from helix import _core

    return [f"HX{number}" for number in sorted({*_core.error_numbers(), *_TEXTS})]
