"""OpenBLAS for helix's wheel, from the package scipy-openblas32.

openblas.py            prints the paths of the library and of its licence
openblas.py FROM TO    copies the library without what helix never uses, so that the wheel stays small:
                       the tables for unwinding, which C and Fortran need only for debuggers, the names of local
                       functions, and the LAPACKE functions, which are another door to LAPACK
"""

from __future__ import annotations

import struct
import sys
from importlib import metadata
from pathlib import Path

UNUSED_SECTIONS = (b".eh_frame", b".eh_frame_hdr", b".symtab", b".strtab")
UNUSED_FUNCTIONS = b"LAPACKE_"


def find() -> tuple[Path, Path]:
    """The library and its licence."""
    import scipy_openblas32

    folder, name = Path(scipy_openblas32.get_lib_dir()), scipy_openblas32.get_library()
    library = next(path for path in (folder / f"lib{name}{end}" for end in (".so", ".dylib")) if path.exists())
    files = metadata.files("scipy-openblas32") or []
    licence = next(file for file in files if file.name == "LICENSE.txt")
    return library, Path(str(licence.locate()))


def slimmed(data: bytearray) -> bytearray:
    """A 64-bit little-endian ELF file with zeros in place of what is unused; any other file as it is."""
    if data[:6] != b"\x7fELF\x02\x01":
        return data
    sections = read_sections(data)
    names = sections[struct.unpack_from("<H", data, 0x3E)[0]]
    by_name = {text(data, names.offset + section.name): section for section in sections}
    clear_functions(data, by_name[b".dynsym"], by_name[b".dynstr"])
    for name in UNUSED_SECTIONS:
        if name in by_name:
            section = by_name[name]
            data[section.offset : section.offset + section.size] = bytes(section.size)
    return data


class Section:
    """The fields of a section header that matter here; a section's address and its offset differ by `shift`."""

    def __init__(self, data: bytearray, at: int):
        self.name, _, _, address, self.offset, self.size = struct.unpack_from("<IIQQQQ", data, at)
        self.shift = address - self.offset


def read_sections(data: bytearray) -> list[Section]:
    (start,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    return [Section(data, start + i * size) for i in range(count)]


def text(data: bytearray, at: int) -> bytes:
    return bytes(data[at : data.index(0, at)])


def clear_functions(data: bytearray, symbols: Section, strings: Section) -> None:
    """Zeros for the bodies of the functions that nothing calls. The code section lies in the file as in memory."""
    sections = read_sections(data)
    for at in range(symbols.offset, symbols.offset + symbols.size, 24):
        name, kind, _, number, address, size = struct.unpack_from("<IBBHQQ", data, at)
        is_function = kind & 15 == 2 and 0 < number < len(sections)
        if is_function and UNUSED_FUNCTIONS in text(data, strings.offset + name):
            start = address - sections[number].shift
            data[start : start + size] = bytes(size)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        Path(sys.argv[2]).write_bytes(slimmed(bytearray(Path(sys.argv[1]).read_bytes())))
    else:
        print(*find(), sep="\n")
