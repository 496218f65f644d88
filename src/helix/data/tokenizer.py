"""Tokenizers: text to numbers and back, without any other library. Bytes, or byte pairs trained here or read from
`tokenizer.json`, the file of Hugging Face's tokenizers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import FormatError
from ..io import load_json, save_json
from . import steps
from .bpe import BPE, learned

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


class ByteTokenizer:
    """A token is a byte of UTF-8.

    >>> helix.data.ByteTokenizer().encode("né")
    [110, 195, 169]
    """

    vocabulary_size = 256

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Iterable[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")


class Tokenizer:
    """Byte pair encoding, with what comes before and after: normalizing, cutting into words, special tokens, decoding.

    >>> words = helix.data.Tokenizer.train(["the theme of the thesis"], size=270)
    >>> words.decode(words.encode("the other")), len(words.encode("the other")) < 9
    ('the other', True)
    """

    def __init__(self, description: dict[str, Any], name: str = "tokenizer") -> None:
        try:
            self._build(description)
        except (KeyError, TypeError, AttributeError) as error:
            raise FormatError(
                f"HX2102 {name}: a part of the tokenizer is missing or misshapen: {error}", code="HX2102"
            ) from error

    def _build(self, description: dict[str, Any]) -> None:
        self.description = description
        model = description["model"]
        if model.get("type", "BPE") != "BPE":
            raise FormatError(
                f"HX2102 tokenizer: a model of type {model['type']!r} is not known; helix reads BPE", code="HX2102"
            )
        if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix") or model.get("dropout"):
            raise FormatError("HX2102 tokenizer: prefixes, suffixes and dropout of BPE are not known", code="HX2102")
        merges = [_pair(merge) for merge in model["merges"]]
        self.model = BPE(
            model["vocab"],
            merges,
            model.get("unk_token"),
            bool(model.get("byte_fallback")),
            bool(model.get("ignore_merges")),
            bool(model.get("fuse_unk")),
        )
        added = description.get("added_tokens") or []
        self.special = {token["content"]: token["id"] for token in added}
        self._plain = {token["content"] for token in added if not token.get("special")}
        self._added = _one_of(self.special)
        self._strip = {t["content"]: (bool(t.get("lstrip")), bool(t.get("rstrip"))) for t in added}
        self._normalize = steps.normalizer(description.get("normalizer"))
        self._cut = steps.cutter(description.get("pre_tokenizer"))
        self._join = steps.joiner(description.get("decoder"))
        self._around = steps.surroundings(description.get("post_processor"), self.special)
        self._names = {number: text for text, number in {**self.model.vocabulary, **self.special}.items()}

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """Reads `tokenizer.json`, or the folder it is in. What helix does not know is an error (HX2102), never guessed at."""
        path = Path(path)
        path = path / "tokenizer.json" if path.is_dir() else path
        return cls(load_json(path), path.name)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        size: int = 8192,
        special: Sequence[str] = (),
        least: int = 0,
        pattern: str = GPT2,
    ) -> Tokenizer:
        """Learns byte pairs from texts, cut into words by `pattern` (GPT-2's): `size` tokens with the bytes and `special`."""
        if size < 256 + len(special):
            raise ValueError(
                f"Tokenizer.train: size must be at least {256 + len(special)}, the bytes and special tokens; got {size}"
            )
        cut = steps.byte_level({"add_prefix_space": False, "use_regex": False})
        words: Counter[str] = Counter()
        split = steps.splitter({"pattern": {"Regex": pattern}, "behavior": "Isolated"})
        for text in texts:
            words.update(split([text]))
        spelled: Counter[str] = Counter()
        for word, count in words.items():
            spelled[cut([word])[0]] += count
        model = learned(spelled, size, steps.BYTE_LETTERS, special, least)
        return cls(_described(model, special, pattern))

    @property
    def vocabulary_size(self) -> int:
        return max(self._names) + 1

    def encode(self, text: str, special: bool = True) -> list[int]:
        """The ids of a text. `special`: with the tokens that the tokenizer puts around it."""
        ids: list[int] = []
        for part, number in self._parts(text):
            if number is not None:
                ids.append(number)
            elif part:
                for word in self._cut([self._normalize(part)]):
                    ids += self.model.encode(word)
        before, after = self._around
        return [*before, *ids, *after] if special else ids

    def _parts(self, text: str):
        """Special tokens, and the text between them."""
        if self._added is None:
            yield text, None
            return
        start = 0
        for found in self._added.finditer(text):
            left, right = self._strip[found.group()]
            between = text[start : found.start()] if found.start() > start else ""
            yield (between.rstrip() if left else between), None
            yield found.group(), self.special[found.group()]
            start = found.end()
            if right:
                start += len(text[start:]) - len(text[start:].lstrip())
        yield text[start:], None

    def decode(self, ids: Iterable[int], skip_special: bool = True) -> str:
        """The text of ids; bytes that are no UTF-8 become U+FFFD."""
        hidden = {self.special[text] for text in self.special if text not in self._plain} if skip_special else set()
        return self._join([self._names[i] for i in ids if i not in hidden], set(self.special))

    def save(self, path: str | Path) -> None:
        """Writes a `tokenizer.json` that Hugging Face's library reads too."""
        save_json(self.description, path)

    def __repr__(self) -> str:
        return f"Tokenizer({self.vocabulary_size} tokens, {len(self.model.merges)} merges)"


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    a, b = merge.split(" ", 1) if isinstance(merge, str) else merge
    return a, b


def _one_of(tokens: Iterable[str]) -> re.Pattern[str] | None:
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _described(model: BPE, special: Sequence[str], pattern: str) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": model.vocabulary[text], "content": text, **flags} for text in special],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": model.vocabulary,
            "merges": [list(merge) for merge in model.merges],
        },
    }
