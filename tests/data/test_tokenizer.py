"""Tokenizers beside Hugging Face's: the same merges from the same text, the same ids, each reads the other's file."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path

import pytest
import tokenizers as theirs

from helix import data
from helix.data.bpe import _merged_long, _merged_short
from helix.data.patterns import compiled
from helix.errors import FormatError

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LIBRARY = Path(sysconfig.get_path("stdlib"))
TEXTS = [(LIBRARY / f"{name}.py").read_text(encoding="utf-8") for name in ("textwrap", "bisect", "heapq", "string")]
ODD = [
    "", " ", "a", "Hello, world!  It's 3½ o'clock…\n\n\tdone", "naïve café ÀÉ", "日本語のテキスト 123", "🙂👍🏽 emoji", "x² + y₃ = Ⅻ",
    "a\x1cb\x1fc \u3000wide\u00a0space", "don't WON'T we'LL", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "<|end|>mid<|end|>",
    "tabs\t\tand   spaces   ", "line\r\nline\r\n", "e\u0301 combined", "_under_score__",
]  # fmt: skip


def gpt2_like():
    tokenizer = theirs.Tokenizer(theirs.models.BPE())
    tokenizer.pre_tokenizer = theirs.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = theirs.decoders.ByteLevel()
    return tokenizer


def llama3_like():
    tokenizer = theirs.Tokenizer(theirs.models.BPE(ignore_merges=True))
    tokenizer.normalizer = theirs.normalizers.NFC()
    tokenizer.pre_tokenizer = theirs.pre_tokenizers.Sequence(
        [
            theirs.pre_tokenizers.Split(theirs.Regex(LLAMA3), "isolated"),
            theirs.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = theirs.decoders.ByteLevel()
    return tokenizer


def llama2_like():
    tokenizer = theirs.Tokenizer(theirs.models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = theirs.normalizers.Sequence(
        [theirs.normalizers.Prepend("\u2581"), theirs.normalizers.Replace(" ", "\u2581")]
    )
    tokenizer.decoder = theirs.decoders.Sequence(
        [theirs.decoders.Replace("\u2581", " "), theirs.decoders.ByteFallback(), theirs.decoders.Fuse(),
         theirs.decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    return tokenizer


def mistral_like():
    tokenizer = theirs.Tokenizer(theirs.models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = theirs.pre_tokenizers.Sequence(
        [theirs.pre_tokenizers.Metaspace(), theirs.pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.decoder = theirs.decoders.Metaspace()
    return tokenizer


KINDS = {"gpt2": gpt2_like, "llama3": llama3_like, "llama2": llama2_like, "mistral": mistral_like}


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    """A trained tokenizer of theirs, and helix's reading of its file."""
    tokenizer = KINDS[request.param]()
    special = ["<unk>", "<s>", "<|end|>", *(f"<0x{b:02X}>" for b in range(256) if request.param == "llama2")]
    alphabet = theirs.pre_tokenizers.ByteLevel.alphabet() if request.param in ("gpt2", "llama3") else []
    trainer = theirs.trainers.BpeTrainer(
        vocab_size=900, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    texts = TEXTS if request.param != "llama2" else [line for text in TEXTS for line in text.splitlines()]
    tokenizer.train_from_iterator(texts, trainer)
    if request.param == "llama3":
        tokenizer.post_processor = theirs.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    path = tmp_path_factory.mktemp(request.param) / "tokenizer.json"
    tokenizer.save(str(path))
    if request.param == "llama2":  # bytes are ordinary tokens there
        told = json.loads(path.read_text())
        told["added_tokens"] = told["added_tokens"][:3]
        path.write_text(json.dumps(told))
        tokenizer = theirs.Tokenizer.from_file(str(path))
    return tokenizer, data.Tokenizer.from_file(path.parent)


def test_ids_and_texts_are_theirs(pair):
    tokenizer, mine = pair
    for text in [*ODD, *TEXTS]:
        ids = tokenizer.encode(text).ids
        assert mine.encode(text) == ids, text
        assert mine.encode(text, special=False) == tokenizer.encode(text, add_special_tokens=False).ids
        for skip in (True, False):
            assert mine.decode(ids, skip) == tokenizer.decode(ids, skip_special_tokens=skip), text
    assert mine.vocabulary_size == tokenizer.get_vocab_size()


def test_training_gives_their_merges(tmp_path):
    mine = data.Tokenizer.train(TEXTS, 700, special=["<|end|>"])
    tokenizer = gpt2_like()
    trainer = theirs.trainers.BpeTrainer(
        vocab_size=700, special_tokens=["<|end|>"], initial_alphabet=theirs.pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )  # fmt: skip
    tokenizer.train_from_iterator(TEXTS, trainer)
    told = json.loads(tokenizer.to_str())["model"]
    assert mine.model.merges == [tuple(merge) for merge in told["merges"]] and mine.model.vocabulary == told["vocab"]
    mine.save(tmp_path / "tokenizer.json")
    again = theirs.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert all(again.encode(text).ids == mine.encode(text) for text in [*ODD, *TEXTS])
    assert all(mine.decode(mine.encode(text), skip_special=False) == text for text in [*ODD, *TEXTS])


def test_both_ways_of_merging_agree():
    model = data.Tokenizer.train(TEXTS, 600).model
    for text in TEXTS:
        ids = [model.vocabulary[c] for c in text.replace(" ", "Ġ").replace("\n", "Ċ") if c in model.vocabulary][:600]
        for start in range(0, len(ids), 83):
            part = ids[start : start + 83]
            assert _merged_short(list(part), model._ranks) == _merged_long(list(part), model._ranks)


def test_bytes():
    tokenizer = data.ByteTokenizer()
    assert all(tokenizer.decode(tokenizer.encode(text)) == text for text in [*ODD, *TEXTS])
    assert tokenizer.decode([0xFF, 65]) == "\ufffdA"


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [(r"\p{Lu}\p{Ll}+", "Ab ÀÉé aB", ["Ab", "Éé"]), (r"[^\s\p{L}]+", "a1 ²b\x1c", ["1", "²", "\x1c"]), (r"\P{N}+", "ab12", ["ab"]),
     (r"\S+", "a\x1cb c", ["a\x1cb", "c"])],
)  # fmt: skip
def test_patterns(pattern, text, found):
    assert compiled(pattern).findall(text) == found


@pytest.mark.parametrize(
    ("change", "text"),
    [({"model": {"type": "Unigram"}}, "type 'Unigram' is not known"), ({"normalizer": {"type": "Precompiled"}}, "'Precompiled'"),
     ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\p{Zq}"}, "behavior": "Isolated"}}, "unknown category 'Zq'"),
     ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"}}, "is not understood"),
     ({"model": {"type": "BPE"}}, "missing or misshapen"), ({"decoder": {"type": "CTC"}}, "'CTC'")],
)  # fmt: skip
def test_what_is_not_known_is_refused(change, text):
    good = data.Tokenizer.train(["some text"], 260).description
    with pytest.raises(FormatError, match=text) as caught:
        data.Tokenizer({**good, **change})
    assert caught.value.code == "HX2102"
    with pytest.raises(ValueError, match="at least 258"):
        data.Tokenizer.train(["x"], 200, special=["a", "b"])
