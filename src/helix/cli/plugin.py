"""plugin new: a backend to begin with, which installs and works."""

from __future__ import annotations

from pathlib import Path

import click

from .output import common, give

FILES = {
    "python": {"pyproject.toml": "pyproject.toml", "__init__.py": "src/{module}/__init__.py"},
    "c": {
        "pyproject.toml": "pyproject.toml",
        "meson.build": "meson.build",
        "__init__.py": "src/{module}/__init__.py",
        "backend.c": "src/{module}/backend.c",
        "backend.h": "src/{module}/backend.h",
        "module.c": "src/{module}/module.c",
    },
}
"""For each language the templates and where they go."""

INSTALL = {
    "python": "pip install -e .",
    "c": "pip install meson-python meson ninja\npip install --no-build-isolation -e .   # builds again at the next import",
}


@click.group()
def plugin() -> None:
    """A package that brings a device to helix."""


@plugin.command("new")
@click.argument("name")
@click.option("--lang", type=click.Choice(sorted(FILES)), default="python", show_default=True)
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), help="Folder to make; helix-backend-NAME unless given."
)
@common
def new(name: str, lang: str, folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Writes a plugin for the device NAME: it installs, passes what it claims, and its README says what comes next."""
    _check(name)
    place = folder or Path(f"helix-backend-{name.replace('_', '-')}")
    written = write(name, lang, place)
    text = "\n".join([f"wrote {place}:", *(f"  {file}" for file in written), f"next: {place / 'README.md'}"])
    give({"folder": str(place), "files": written}, text, as_json)


def _check(name: str) -> None:
    from ..backends.discovery import NAME, RESERVED, installed
    from ..errors import ParameterError

    problem = "" if NAME.fullmatch(name) else "is not made of lower-case letters, digits and _, a letter first"
    if name in RESERVED:
        problem = "is a name that helix keeps for itself"
    if not problem and len(name) > 31:
        problem = "has more than 31 characters"
    if not problem and (others := [found.origin for found in installed() if found.name == name]):
        problem = f"is the device of {others[0]} already"
    if problem:
        raise ParameterError(f"HX5002 plugin new: {name!r} {problem}.", op="plugin new", code="HX5002")


def write(name: str, lang: str, place: Path) -> list[str]:
    """The files of a plugin, in a folder that is not there yet or empty; gives their names."""
    from .. import __version__
    from ..errors import ParameterError

    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ParameterError(
            f"HX5002 plugin new: {place} is there already and not empty.", op="plugin new", code="HX5002"
        )
    package = f"helix-backend-{name.replace('_', '-')}"
    words = {
        "@name@": name,
        "@package@": package,
        "@module@": f"helix_backend_{name}",
        "@Class@": name.title().replace("_", ""),
        "@version@": ".".join(__version__.split(".")[:2]),
        "@install@": INSTALL[lang],
    }
    templates = Path(__file__).with_name("plugin_templates")
    sources = {"README.md": templates / "README.md.tmpl"}
    for template, target in FILES[lang].items():
        sources[target.format(module=words["@module@"])] = templates / lang / f"{template}.tmpl"
    for target, source in sources.items():
        text = source.read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        (place / target).parent.mkdir(parents=True, exist_ok=True)
        (place / target).write_text(text, encoding="utf-8")
    return sorted(sources)


commands = {"plugin": plugin}
