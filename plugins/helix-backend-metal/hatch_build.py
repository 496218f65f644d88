"""Puts `helix/backends/NAME/` into the distributions of a first-party plugin, and nothing else under `helix/`.

The same file in each of their folders. The sources are in `src/` of an unpacked sdist, or in `../../src` of helix's
repository. An editable install holds only a note with their folder, which helix.backends.path reads.
"""

from pathlib import Path
from tempfile import NamedTemporaryFile

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PREFIX = "helix-backend-"
LEFT_OUT = ("__pycache__", ".pyc", ".so")


class SourcesHook(BuildHookInterface):
    def initialize(self, version, build_data):
        name = self.metadata.core.name.removeprefix(PREFIX)
        package = self.package(name)
        if version == "editable":
            with NamedTemporaryFile("w", suffix=".txt", delete=False) as self.note:
                self.note.write(f"{package.parent}\n")
            build_data["force_include_editable"] = {self.note.name: f"helix/backends/_editable/{name}.txt"}
            return
        inside = "src/helix/backends" if self.target_name == "sdist" else "helix/backends"
        build_data["force_include"].update(
            {
                str(file): f"{inside}/{file.relative_to(package.parent).as_posix()}"
                for file in sorted(package.rglob("*"))
                if file.is_file() and not str(file).endswith(LEFT_OUT)
            }
        )

    def finalize(self, version, build_data, artifact_path):
        if version == "editable":
            Path(self.note.name).unlink()

    def package(self, name):
        root = Path(self.root)
        for source in (root / "src", root.parent.parent / "src"):
            package = source / "helix" / "backends" / name
            if (package / "__init__.py").exists():
                return package.resolve()
        raise FileNotFoundError(f"no sources of helix.backends.{name} beside {root}")
