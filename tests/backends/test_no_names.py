"""A new backend touches no file of helix: no backend's name stands in the core or in the Python layers."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src" / "helix"
NAMES = sorted(p.name.removeprefix("helix-backend-") for p in (ROOT / "plugins").glob("helix-backend-*"))
LANGUAGES = {"kernel"}  # renderers are named after the languages that they write


def files():
    for path in sorted(SOURCES.rglob("*")):
        part = path.relative_to(SOURCES).parts
        own = part[0] == "backends" and len(part) > 2  # sources of a first-party plugin
        if path.suffix in (".py", ".pyx", ".pxi", ".pxd", ".c", ".h") and part[0] not in LANGUAGES and not own:
            yield path


def names_in(text, names):
    """Names of devices in string literals: "cuda", 'cuda:0', but not in prose, in comments or as parts of words."""
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)
    code = re.sub(r'"""(?:.|\n)*?"""|(?<!["\'])#[^\n]*', "", code)
    return [n for n in names if re.search(rf"""["']{n}(:\d*)?["']""", code)]


def test_there_are_backends_to_look_for():
    assert "reference" in NAMES and sum(1 for _ in files()) > 150


def test_no_backend_is_named():
    found = {str(path.relative_to(ROOT)): names_in(path.read_text(), NAMES) for path in files()}
    assert not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize(
    "planted", ['if (!strcmp(d->name, "cuda"))', "x = device('cuda:0')", 'kinds = ["cuda", "cpu"]']
)
def test_a_name_would_be_found(planted):
    assert names_in(planted, ["cuda"])


def test_prose_is_no_name():
    assert not names_in('/* as on "cuda" */ x = "cuda-c"; // "cuda"\n"""Like \'cuda\' here."""', ["cuda"])
