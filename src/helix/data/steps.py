"""The parts of a tokenizer around its model: normalizers, cutters into words, decoders, as `tokenizer.json` describes them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

from ..errors import FormatError
from .patterns import compiled

Cut = Callable[[list[str]], list[str]]
Description = dict[str, Any] | None


def _letters() -> dict[int, str]:
    """GPT-2's letter for each byte: printable ones are themselves, the others come after U+0100 in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + k) for k, byte in enumerate(others)}


_LETTER = _letters()
BYTE_LETTERS = tuple(_LETTER.values())
_BYTE = {letter: byte for byte, letter in _LETTER.items()}


def _unknown(what: str, description: dict[str, Any]) -> FormatError:
    return FormatError(f"HX2102 tokenizer: a {what} of type {description.get('type')!r} is not known", code="HX2102")


# ---- normalizers -------------------------------------------------------------------------------------------


def normalizer(description: Description) -> Callable[[str], str]:
    if description is None:
        return lambda text: text
    kind = description["type"]
    if kind in ("NFC", "NFD", "NFKC", "NFKD"):
        return lambda text: unicodedata.normalize(kind, text)
    if kind == "Lowercase":
        return str.lower
    if kind == "Strip":
        return lambda text: _stripped(text, description)
    if kind == "Prepend":
        return lambda text: description["prepend"] + text if text else text
    if kind == "Replace":
        return _replacer(description)
    if kind == "Sequence":
        parts = [normalizer(part) for part in description["normalizers"]]

        def all_of(text: str) -> str:
            for part in parts:
                text = part(text)
            return text

        return all_of
    raise _unknown("normalizer", description)


def _stripped(text: str, description: dict[str, Any]) -> str:
    text = text.lstrip() if description.get("strip_left", True) else text
    return text.rstrip() if description.get("strip_right", True) else text


def _replacer(description: dict[str, Any]) -> Callable[[str], str]:
    pattern, content = description["pattern"], description["content"]
    if "String" in pattern:
        return lambda text: text.replace(pattern["String"], content)
    expression = compiled(pattern["Regex"])
    return lambda text: expression.sub(lambda _: content, text)


# ---- cutting into words ------------------------------------------------------------------------------------


def cutter(description: Description) -> Cut:
    if description is None:
        return lambda words: words
    kind = description["type"]
    makers = {
        "ByteLevel": byte_level,
        "Split": splitter,
        "Metaspace": _metaspace,
        "Digits": _digits,
        "Whitespace": lambda _: _matches(r"[\p{L}\p{M}\p{N}\p{Pc}]+|[^\s\p{L}\p{M}\p{N}\p{Pc}]+"),
        "WhitespaceSplit": lambda _: _matches(r"\S+"),
    }
    if kind == "Sequence":
        parts = [cutter(part) for part in description["pretokenizers"]]

        def all_of(words: list[str]) -> list[str]:
            for part in parts:
                words = part(words)
            return words

        return all_of
    if kind not in makers:
        raise _unknown("pre-tokenizer", description)
    return makers[kind](description)


def _matches(pattern: str) -> Cut:
    expression = compiled(pattern)
    return lambda words: [piece for word in words for piece in expression.findall(word)]


def byte_level(description: dict[str, Any]) -> Cut:
    """Words by GPT-2's pattern, if asked for, then each byte as its letter."""
    from .tokenizer import GPT2

    expression = compiled(GPT2) if description.get("use_regex", True) else None
    prefixed = description.get("add_prefix_space", True)

    def cut(words: list[str]) -> list[str]:
        if prefixed:
            words = [word if word.startswith(" ") or not word else " " + word for word in words]
        if expression is not None:
            words = [piece for word in words for piece in expression.findall(word)]
        return [word.encode().decode("latin-1").translate(_LETTER) for word in words]

    return cut


def splitter(description: dict[str, Any]) -> Cut:
    """Words at the matches of a pattern, which are words of their own, go to a neighbour, or are dropped."""
    import re

    pattern, behavior = description["pattern"], description["behavior"]
    expression = compiled(pattern["Regex"]) if "Regex" in pattern else re.compile(re.escape(pattern["String"]))
    inverted = bool(description.get("invert"))
    if behavior not in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext"):
        raise FormatError(f"HX2102 tokenizer: splitting with behavior {behavior!r} is not known", code="HX2102")

    def cut(words: list[str]) -> list[str]:
        out: list[str] = []
        for word in words:
            out += _arranged([(piece, hit != inverted) for piece, hit in _pieces(word, expression)], behavior)
        return out

    return cut


def _pieces(word: str, expression) -> list[tuple[str, bool]]:
    pieces, start = [], 0
    for found in expression.finditer(word):
        if found.start() > start:
            pieces.append((word[start : found.start()], False))
        if found.end() > found.start():
            pieces.append((found.group(), True))
        start = found.end()
    if start < len(word):
        pieces.append((word[start:], False))
    return pieces


def _arranged(pieces: list[tuple[str, bool]], behavior: str) -> list[str]:
    if behavior == "Isolated":
        return [piece for piece, _ in pieces]
    if behavior == "Removed":
        return [piece for piece, hit in pieces if not hit]
    out: list[str] = []
    waiting = ""
    for piece, hit in pieces:
        if behavior == "MergedWithPrevious" and hit and out:
            out[-1] += piece
        elif behavior == "MergedWithNext" and hit:
            out += [waiting] if waiting else []
            waiting = piece
        else:
            out.append(waiting + piece)
            waiting = ""
    return out + ([waiting] if waiting else [])


def _metaspace(description: dict[str, Any]) -> Cut:
    mark = description.get("replacement", "\u2581")
    scheme = description.get("prepend_scheme", "always" if description.get("add_prefix_space", True) else "never")
    split = description.get("split", True)

    def cut(words: list[str]) -> list[str]:
        out: list[str] = []
        for number, word in enumerate(words):
            word = word.replace(" ", mark)
            if word and not word.startswith(mark) and (scheme == "always" or (scheme == "first" and number == 0)):
                word = mark + word
            out += [p for p in word.replace(mark, "\0" + mark).split("\0") if p] if split else [word]
        return out

    return cut


def _digits(description: dict[str, Any]) -> Cut:
    each = bool(description.get("individual_digits"))
    return splitter({"pattern": {"Regex": r"\p{N}" if each else r"\p{N}+"}, "behavior": "Isolated"})


# ---- decoders ----------------------------------------------------------------------------------------------

Join = Callable[[list[str], set[str]], str]


def joiner(description: Description) -> Join:
    """From the names of tokens to text; `special` names are taken as they are."""
    if description is None:
        return lambda names, special: " ".join(names)
    if description["type"] == "ByteLevel":
        return _from_byte_letters
    parts = description["decoders"] if description["type"] == "Sequence" else [description]
    steps = [_decoder(part) for part in parts]

    def join(names: list[str], special: set[str]) -> str:
        for step in steps:
            names = step(names)
        return "".join(names)

    return join


def _from_byte_letters(names: list[str], special: set[str]) -> str:
    out = bytearray()
    for name in names:
        if name in special or any(letter not in _BYTE for letter in name):
            out += name.encode()
        else:
            out += bytes(_BYTE[letter] for letter in name)
    return out.decode("utf-8", "replace")


def _decoder(description: dict[str, Any]) -> Cut:
    kind = description["type"]
    if kind == "ByteLevel":
        return lambda names: [_from_byte_letters(names, set())]
    if kind == "Fuse":
        return lambda names: ["".join(names)]
    if kind == "Replace":
        replace = _replacer(description)
        return lambda names: [replace(name) for name in names]
    if kind == "ByteFallback":
        return _from_fallback
    if kind == "Metaspace":
        return lambda names: _from_metaspace(names, description)
    if kind == "Strip":
        return lambda names: [_cut_ends(name, description) for name in names]
    raise _unknown("decoder", description)


def _from_fallback(names: list[str]) -> list[str]:
    out: list[str] = []
    run = bytearray()

    def flush() -> None:
        if run:
            try:
                out.append(run.decode())
            except UnicodeDecodeError:
                out.extend("\ufffd" * len(run))
            run.clear()

    for name in names:
        if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
            run.append(int(name[3:5], 16))
        else:
            flush()
            out.append(name)
    flush()
    return out


def _from_metaspace(names: list[str], description: dict[str, Any]) -> list[str]:
    mark = description.get("replacement", "\u2581")
    scheme = description.get("prepend_scheme", "always" if description.get("add_prefix_space", True) else "never")
    plain = [name.replace(mark, " ") for name in names]
    if plain and scheme != "never":
        plain[0] = plain[0].removeprefix(" ")
    return plain


def _cut_ends(name: str, description: dict[str, Any]) -> str:
    for _ in range(description.get("start", 0)):
        name = name.removeprefix(description["content"])
    for _ in range(description.get("stop", 0)):
        name = name.removesuffix(description["content"])
    return name


# ---- around a text -----------------------------------------------------------------------------------------


def surroundings(description: Description, special: dict[str, int]) -> tuple[list[int], list[int]]:
    """Ids before and after a text."""
    if description is None or description["type"] == "ByteLevel":
        return [], []
    if description["type"] == "Sequence":
        pairs = [surroundings(part, special) for part in description["processors"]]
        return [i for before, _ in pairs for i in before], [i for _, after in pairs for i in after]
    if description["type"] == "TemplateProcessing":
        before: list[int] = []
        after: list[int] = []
        seen = False
        for part in description["single"]:
            if "Sequence" in part:
                seen = True
            else:
                (after if seen else before).extend(description["special_tokens"][part["SpecialToken"]["id"]]["ids"])
        return before, after
    if description["type"] in ("BertProcessing", "RobertaProcessing"):
        return [description["cls"][1]], [description["sep"][1]]
    raise _unknown("post-processor", description)
