"""OpenBLAS for helix's wheel, from the package scipy-openblas32.

openblas.py                prints the paths of the library and of its licence
openblas.py FROM TO NAMES  copies the library with zeros in place of the functions that are never called, so that it packs
                           to half; NAMES is the C file with helix's table of routines. Also left out are the names of
                           local functions, and the tables for unwinding, which C and Fortran need for debuggers alone.

A function stays when it is one of helix's routines, stands in a table of functions, or is named in a function that stays.
Tables for processors stay for three of them, between which lapack.c chooses by features.
Code names another function by its distance, by the distance of its entry in the procedure linkage table, or by that of its
entry in the global offset table, and there are no other ways in code that may lie anywhere in memory.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from bisect import bisect_right
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

UNUSED_SECTIONS = (".eh_frame", ".eh_frame_hdr", ".symtab", ".strtab")
ALWAYS = ("scipy_openblas_set_num_threads", "_init", "_fini")
ADDRESS_OF_SYMBOL, ENTRY_OF_SYMBOL, ADDRESS_IN_FILE = 1, 6, 8  # relocations of x86-64
FUNCTION, OBJECT = 2, 1
TABLE = "gotoblas_"  # one for each processor
PROCESSORS = ("PRESCOTT", "HASWELL", "SKYLAKEX")


def find() -> tuple[Path, Path]:
    """The library and its licence."""
    import scipy_openblas32

    folder, name = Path(scipy_openblas32.get_lib_dir()), scipy_openblas32.get_library()
    library = next(path for path in (folder / f"lib{name}{end}" for end in (".so", ".dylib")) if path.exists())
    files = metadata.files("scipy-openblas32") or []
    licence = next(file for file in files if file.name == "LICENSE.txt")
    return library, Path(str(licence.locate()))


def routines(source: str) -> list[str]:
    """The names that helix's table asks for: {"orgqr", "ungqr"} is sorgqr, dorgqr, cungqr and zungqr."""
    table = source[source.index("} routines[] = {") : source.index("enum { ROUTINES")]
    names = []
    for pair in re.findall(r"\{(\S+), (\S+?)\}", table):
        for types, name in zip(("sd", "cz"), pair):
            if name != "NULL":
                names += [f"scipy_{kind}{name[1:-1]}_" for kind in types]
    return names


class Section(NamedTuple):
    address: int
    offset: int
    size: int


class Library:
    """The parts of a 64-bit little-endian ELF file for x86-64 that say which functions there are and what names them."""

    def __init__(self, data: bytearray):
        self.data = data
        self.sections = self._sections()
        self.exported = self._symbols(".dynsym", ".dynstr", FUNCTION)
        self.sizes = {at: size for _, at, size in self._symbols(".symtab", ".strtab", FUNCTION) if at and size}
        self.starts = sorted(self.sizes)
        tables = [t for t in self._symbols(".symtab", ".strtab", OBJECT) if t[0].startswith(TABLE)]
        self.unused = [range(at, at + size) for name, at, size in tables if name[len(TABLE) :] not in PROCESSORS]
        self.by_name = {name: at for name, at, _ in self.exported if at}
        self.tables, self.entries = self._relocations()

    def _sections(self) -> dict[str, Section]:
        (start,) = struct.unpack_from("<Q", self.data, 0x28)
        size, count, names = struct.unpack_from("<HHH", self.data, 0x3A)
        found = [struct.unpack_from("<IIQQQQ", self.data, start + i * size) for i in range(count)]
        return {self._text(found[names][4] + name): Section(*rest) for name, _, _, *rest in found}

    def _text(self, at: int) -> str:
        return self.data[at : self.data.index(0, at)].decode()

    def _symbols(self, table: str, strings: str, wanted: int) -> list[tuple[str, int, int]]:
        """Name, address and size of every symbol; those of another kind have the address 0."""
        section, names = self.sections[table], self.sections[strings]
        found = []
        for at in range(section.offset, section.offset + section.size, 24):
            name, kind, _, _, address, size = struct.unpack_from("<IBBHQQ", self.data, at)
            found.append((self._text(names.offset + name), address if kind & 15 == wanted else 0, size))
        return found

    def _relocations(self) -> tuple[set[int], dict[int, int]]:
        """The functions that stand in tables, and {address of an entry that code goes through: function}."""
        tables, entries = set(), {}
        for at in self._each(".rela.dyn"):
            place, info, addend = struct.unpack_from("<QQq", self.data, at)
            kind, symbol = info & 0xFFFFFFFF, info >> 32
            target = addend if kind == ADDRESS_IN_FILE else self.exported[symbol][1]
            if kind == ENTRY_OF_SYMBOL:
                entries[place] = target
            elif kind in (ADDRESS_IN_FILE, ADDRESS_OF_SYMBOL) and not any(place in table for table in self.unused):
                tables.add(target)
        plt = self.sections[".plt"].address
        for i, at in enumerate(self._each(".rela.plt"), 1):
            _, info, _ = struct.unpack_from("<QQq", self.data, at)
            entries[plt + 16 * i] = self.exported[info >> 32][1]
        return tables & self.sizes.keys(), entries

    def _each(self, section: str) -> range:
        _, offset, size = self.sections[section]
        return range(offset, offset + size, 24)

    def body(self, at: int) -> tuple[int, int]:
        """Where a function's code lies in the file."""
        text = self.sections[".text"]
        start = at - text.address + text.offset
        return start, start + self.sizes[at]

    def around(self, address: int) -> int | None:
        """The function in which an address lies."""
        at = self.starts[max(bisect_right(self.starts, address) - 1, 0)]
        return at if at <= address < at + self.sizes[at] else None

    def named_in(self, at: int) -> set[int]:
        """The functions that a function's code may name; some too many, because any four bytes are taken for a distance."""
        start, stop = self.body(at)
        code, found = self.data[start:stop], set()
        for phase in range(4):
            distances = array("i", bytes(code[phase : phase + (len(code) - phase) // 4 * 4]))
            for i, distance in enumerate(distances):
                behind = phase + 4 * i + 4
                target = at + behind + distance
                if target in self.sizes:
                    found.add(target)
                elif target in self.entries:
                    found.add(self.entries[target])
                elif is_jump(code, behind - 4):
                    inside = self.around(target)
                    found.add(inside or at)
        return found - {0}

    def reached(self, names: list[str]) -> set[int]:
        todo = [self.by_name[name] for name in (*names, *ALWAYS) if name in self.by_name] + list(self.tables)
        seen: set[int] = set()
        while todo:
            at = todo.pop()
            if at not in seen and at in self.sizes:
                seen.add(at)
                todo += self.named_in(at)
        return seen


def is_jump(code: bytearray, at: int) -> bool:
    """Do the bytes before a distance say call, jmp, or a jump on a condition?"""
    before = code[at - 1] if at else 0
    return before in (0xE8, 0xE9) or (at > 1 and before & 0xF0 == 0x80 and code[at - 2] == 0x0F)


def slimmed(data: bytearray, names: list[str]) -> bytearray:
    """The library with zeros for what is never used; a file of another kind as it is."""
    if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", data, 0x12)[0] != 62:
        return data
    library, whole = Library(data), bytes(data)
    text = library.sections[".text"]
    used = library.reached(names)
    for wanted in (False, True):  # a symbol may stand in the middle of another's code
        for at in library.sizes:
            start, stop = library.body(at)
            if text.offset <= start and stop <= text.offset + text.size and (at in used) == wanted:
                data[start:stop] = whole[start:stop] if wanted else bytes(stop - start)
    for name in UNUSED_SECTIONS:
        _, offset, size = library.sections[name]
        data[offset : offset + size] = bytes(size)
    return data


if __name__ == "__main__":
    if len(sys.argv) == 4:
        wanted = routines(Path(sys.argv[3]).read_text())
        Path(sys.argv[2]).write_bytes(slimmed(bytearray(Path(sys.argv[1]).read_bytes()), wanted))
    else:
        print(*find(), sep="\n")
