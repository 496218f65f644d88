"""Regular expressions of tokenizer files: `\\p{…}` and `\\s` as Unicode says, for Python's re, which knows neither exactly."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache
from itertools import groupby

from ..errors import FormatError

# Unicode's White_Space, without the four separators that Python's \s counts as well.
SPACES = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
_PARTS = re.compile(r"\\[pP]\{(\^?)(\w+)\}|\\[sS]|\\.|\[\^?\]?|\]|[^\\\[\]]+", re.DOTALL)


@cache
def _runs() -> list[tuple[str, int, int]]:
    """(general category, first, last) of stretches of characters alike."""
    runs, start = [], 0
    for category, alike in groupby(map(unicodedata.category, map(chr, range(sys.maxunicode + 1)))):
        end = start + sum(1 for _ in alike)
        runs.append((category, start, end - 1))
        start = end
    return runs


@cache
def _ranges(name: str) -> str:
    """What stands in brackets for a general category: "Lu", or "L" for all that begin so; empty when there is none."""
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for category, first, last in _runs() if category.startswith(name))


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern for Python; FormatError for what it cannot say."""
    parts, depth = [], 0
    for part in _PARTS.finditer(pattern):
        text = part.group()
        if text.startswith("["):
            depth += 1
        elif text == "]":
            depth -= 1
        elif text[:2] in ("\\p", "\\P") and part.group(2):
            negated = (text[1] == "P") != bool(part.group(1))
            text = _in_place(_category(part.group(2), pattern), negated, depth, pattern)
        elif text in ("\\s", "\\S"):
            text = _in_place(SPACES, text == "\\S", depth, pattern)
        parts.append(text)
    try:
        return re.compile("".join(parts))
    except re.error as error:
        raise FormatError(
            f"HX2102 tokenizer: the pattern {pattern!r} is not understood: {error}", code="HX2102"
        ) from None


def _category(name: str, pattern: str) -> str:
    if not _ranges(name):
        raise FormatError(
            f"HX2102 tokenizer: the pattern {pattern!r} asks for the unknown category {name!r}", code="HX2102"
        )
    return _ranges(name)


def _in_place(ranges: str, negated: bool, depth: int, pattern: str) -> str:
    if depth == 0:
        return f"[{'^' if negated else ''}{ranges}]"
    if negated:
        raise FormatError(
            f"HX2102 tokenizer: the pattern {pattern!r} has a negated class inside of brackets", code="HX2102"
        )
    return ranges
