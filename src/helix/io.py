"""Files: safetensors and JSON, written whole or not at all. No file of helix is a pickle, and none is read.

The safetensors format: 8 bytes with the length of a JSON header (little-endian), the header, then the data. The
header maps each name to {"dtype", "shape", "data_offsets": [begin, end]}, offsets counted from the end of the header;
"__metadata__" maps strings to strings. The ranges must cover the data without holes or overlaps.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from mmap import ACCESS_COPY, mmap
from typing import TYPE_CHECKING, Any

from helix import _core
from helix._core import Tensor
from helix.errors import FormatError

if TYPE_CHECKING:
    from helix._core import Device

Path = str | os.PathLike[str]
MAX_HEADER = 100_000_000  # bytes
MAX_JSON = 1_000_000_000

_CODES = {
    "BOOL": "bool",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
_CODE_OF = {name: code for code, name in _CODES.items()}

__all__ = ["atomic_write", "load_file", "load_header", "load_json", "save_file", "save_json"]


def _damaged(number, path, text):
    return FormatError(
        f"HX{number} safetensors {os.path.basename(path)!r}: {text}; nothing was loaded.",
        op="load_file",
        code=f"HX{number}",
    )


# ---- writing ----


class atomic_write:
    """A context manager that gives a file to write; `path` holds the whole content, or what it held before.

    The content goes to a temporary file in the same folder, which is synced and renamed at the end.
    """

    def __init__(self, path, mode="wb"):
        self._path = os.fspath(path)
        self._temporary = f"{self._path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
        self._mode = mode

    def __enter__(self):
        self._file = open(self._temporary, self._mode, encoding=None if "b" in self._mode else "utf-8")
        return self._file

    def __exit__(self, kind, *rest):
        if kind is not None:
            self._file.close()
            os.unlink(self._temporary)
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._temporary, self._path)
        except BaseException:
            self._file.close()
            if os.path.exists(self._temporary):
                os.unlink(self._temporary)
            raise
        _sync_folder(os.path.dirname(os.path.abspath(self._path)))


def _sync_folder(folder):
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # a system whose folders cannot be opened keeps its own promises
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def save_file(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a mapping of names to tensors as a safetensors file.

    `metadata` maps strings to strings. Strided tensors are written row by row.
    """
    header, order = _header_of(tensors, metadata)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in order:
            _write_tensor(file, tensors[name])


def _header_of(tensors, metadata):
    header = {}
    if metadata is not None:
        if not all(isinstance(key, str) and isinstance(value, str) for key, value in metadata.items()):
            raise _unsaveable("metadata must map strings to strings")
        header["__metadata__"] = dict(metadata)
    for name, tensor in tensors.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise _unsaveable(f"{name!r} is not a name for a tensor")
        if not isinstance(tensor, Tensor):
            raise _unsaveable(f"{name!r} is not a tensor but {type(tensor).__name__}")
        if tensor.dtype.name not in _CODE_OF:
            raise _unsaveable(f"{name!r} is {tensor.dtype.name}, which the format has no code for")
    # Wide types first, so that every tensor is aligned; then by name, so that equal content is an equal file.
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    begin = 0
    for name in order:
        tensor = tensors[name]
        end = begin + tensor.nbytes
        header[name] = {"dtype": _CODE_OF[tensor.dtype.name], "shape": list(tensor.shape), "data_offsets": [begin, end]}
        begin = end
    return header, order


def _unsaveable(text):
    return FormatError(f"HX2004 save_file: {text}.", op="save_file", code="HX2004")


def _write_tensor(file, tensor):
    tensor = tensor.detach().to("cpu").contiguous()
    if tensor.numel():
        file.write(memoryview(_core.as_bytes(tensor)))


# ---- reading ----


def load_file(path: Path, device: Device | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name, in the order of the file.

    The file is mapped, not read: what is not touched costs no memory, and writing to a tensor does not change the file.
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header, start = _read_header(file, size, path)
        ranges = _checked(header, size - start, path)
        whole = memoryview(mmap(file.fileno(), 0, access=ACCESS_COPY)) if size > start else memoryview(b"")
    made = {}
    for name, (dtype, shape, begin, end) in ranges.items():
        made[name] = _tensor_at(whole, start + begin, end - begin, dtype, shape)
        if device is not None:
            made[name] = made[name].to(device)
    return made


def load_header(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """(tensors, metadata) of a safetensors file without its data: {name: (dtype, shape)} and a mapping of strings."""
    path = os.fspath(path)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header, start = _read_header(file, size, path)
    metadata = header.get("__metadata__", {})
    return {name: (dtype, shape) for name, (dtype, shape, *_) in _checked(header, size - start, path).items()}, metadata


def _tensor_at(whole, start, nbytes, dtype, shape):
    if not nbytes:
        return _core.op_named("zeros")(shape, dtype=dtype)
    if start % min(dtype.itemsize, 8):  # written by others without alignment
        whole, start = memoryview(bytearray(whole[start : start + nbytes])), 0
    flat = _core.frombuffer(whole, dtype=dtype, count=nbytes // dtype.itemsize, offset=start)
    return _core.unshared(flat).view(shape)  # the map, or the copy, is its own


def _read_header(file, size, path):
    if size < 8:
        raise _damaged(2001, path, f"the file has {size} bytes, too few for a header")
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise _damaged(2001, path, f"the header claims {length} bytes, more than the {MAX_HEADER} allowed")
    if length > size - 8:
        raise _damaged(2001, path, f"the header claims {length} bytes, the file has {size - 8} left")
    text = file.read(length)
    if not text.startswith(b"{"):
        raise _damaged(2001, path, "the header does not start with '{'")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=lambda pairs: _without_doubles(pairs, path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise _damaged(2001, path, "the header is not JSON") from None
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(2001, path, "__metadata__ does not map strings to strings")
    return header, 8 + length


def _without_doubles(pairs, path):
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise _damaged(2001, path, f"the name {double[:80]!r} stands in the header twice")
    return found


def _checked(header, available, path):
    """{name: (dtype, shape, begin, end)} in the order of the data; every range is checked."""
    found = {}
    for name, facts in header.items():
        if name != "__metadata__":
            found[name] = _entry(name[:80], facts, available, path)
    found = dict(sorted(found.items(), key=lambda item: item[1][2:]))
    at = 0
    for name, (_, _, begin, end) in found.items():
        if begin != at:
            problem = "overlaps the tensor before it" if begin < at else "leaves a hole before it"
            raise _damaged(2003, path, f"tensor {name[:80]!r} at bytes {begin}..{end} {problem}")
        at = end
    if at != available:
        raise _damaged(2003, path, f"the tensors end at byte {at}, but the data section at {available}")
    return found


def _entry(name, facts, available, path):
    if not isinstance(facts, dict) or set(facts) != {"dtype", "shape", "data_offsets"}:
        raise _damaged(2001, path, f"the entry of tensor {name!r} does not hold dtype, shape and data_offsets")
    if not isinstance(facts["dtype"], str) or facts["dtype"] not in _CODES:
        raise _damaged(
            2002, path, f"tensor {name!r} has the dtype {str(facts['dtype'])[:20]!r}, which helix does not know"
        )
    if not _all_sizes(facts["shape"]) or len(facts["shape"]) > 16:
        raise _damaged(2001, path, f"tensor {name!r} has a shape that is not a list of at most 16 sizes")
    if not _all_sizes(facts["data_offsets"]) or len(facts["data_offsets"]) != 2:
        raise _damaged(2001, path, f"tensor {name!r} has data_offsets that are not two sizes")
    begin, end = facts["data_offsets"]
    if not begin <= end <= available:
        raise _damaged(
            2003, path, f"tensor {name!r} claims bytes {begin}..{end} but the data section ends at {available}"
        )
    dtype = getattr(_core, _CODES[facts["dtype"]])
    needed = dtype.itemsize
    for size in facts["shape"]:
        needed *= size
    if needed != end - begin:
        raise _damaged(
            2003,
            path,
            f"tensor {name!r} of shape {tuple(facts['shape'])} needs {needed} bytes, its range has {end - begin}",
        )
    return dtype, tuple(facts["shape"]), begin, end


def _all_sizes(values):
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 63 for value in values)


# ---- JSON ----


def save_json(value, path):
    """Writes a JSON file, whole or not at all. NaN and infinity have no JSON form and are refused."""
    try:
        text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise FormatError(f"HX2004 save_json: {error}.", op="save_json", code="HX2004") from None
    with atomic_write(path, "w") as file:
        file.write(text + "\n")


def load_json(path, limit=MAX_JSON):
    """Reads a JSON file of at most `limit` bytes."""
    name = os.path.basename(os.fspath(path))
    with open(path, "rb") as file:
        text = file.read(limit + 1)
    if len(text) > limit:
        raise FormatError(f"HX2005 load_json: {name!r} is larger than {limit} bytes.", op="load_json", code="HX2005")
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        raise FormatError(f"HX2005 load_json: {name!r} is not JSON.", op="load_json", code="HX2005") from None
