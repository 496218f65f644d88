"""Checks the C sources against the rules of the house that a compiler does not know.

    python tools/lint_c.py [file ...]

Files stay under 1,200 lines and lines under 140 columns, nothing allocates on the stack by a run-time size, nothing
prints or ends the process, and there are no notes to do things later. Python.h stays outside the core.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "src" / "helix" / "_core"
MOST_LINES, MOST_COLUMNS = 1200, 140
FORBIDDEN = {
    r"\balloca\s*\(": "alloca",
    r"\b(abort|exit|_exit)\s*\(": "ends the process",
    r"\b(printf|puts|perror)\s*\(|\bfprintf\s*\(\s*std": "prints",
    r"\b(TODO|FIXME|XXX|HACK)\b": "a note to do something later",
    r"#\s*include\s*[<\"]Python\.h": "Python.h in the core",
    r"\b(strcpy|strcat|sprintf|gets)\s*\(": "writes without a bound",
}


def without_comments_and_text(source: str) -> str:
    """The code with comments and string literals blanked, line by line as before."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"'
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), source, flags=re.S)


def findings(path: Path) -> list[str]:
    source = path.read_text()
    lines = source.splitlines()
    where = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    found = [f"{where}: {len(lines)} lines"] if len(lines) > MOST_LINES else []
    code = without_comments_and_text(source).splitlines()
    for number, (line, bare) in enumerate(zip(lines, code, strict=True), 1):
        if len(line) > MOST_COLUMNS:
            found.append(f"{where}:{number}: {len(line)} columns")
        for pattern, why in FORBIDDEN.items():
            if re.search(pattern, line if "note" in why or "Python.h" in why else bare):
                found.append(f"{where}:{number}: {why}")
    return found


def main(names: list[str]) -> int:
    paths = [Path(n).resolve() for n in names] or sorted(p for p in CORE.rglob("*") if p.suffix in {".c", ".h"})
    found = [f for path in paths if path.is_relative_to(CORE) for f in findings(path)]
    print("\n".join(found) if found else f"{len(paths)} C files follow the rules")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
