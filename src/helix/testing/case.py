"""What a conformance case is, and what comes out of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from helix.errors import HelixError, UnsupportedOpError

PROFILES = {
    "core": ("t0_abi", "t1_memory", "t2_order", "t3_primitives", "t4_native"),
    "train": ("t0_abi", "t1_memory", "t2_order", "t3_primitives", "t4_native", "t5_autograd", "t6_train"),
    "full": (
        *("t0_abi", "t1_memory", "t2_order", "t3_primitives", "t4_native", "t5_autograd", "t6_train", "t7_stress"),
        "perf",
    ),
}


class NotOffered(Exception):
    """The device does not have what the case is about."""


class NoCase(Exception):
    """The CPU does not do it either: there is nothing to compare with."""


@dataclass(frozen=True)
class Target:
    """The device under test."""

    name: str  # as in helix.device, with the index: "sim:1"
    profile: str = "core"

    @property
    def backend(self) -> str:
        return self.name.partition(":")[0]

    @property
    def facts(self) -> dict[str, Any]:
        import helix

        return dict(helix.devices())[self.name]


@dataclass(frozen=True)
class Case:
    stage: str
    name: str
    run: Callable[[Target], str | None]  # a note for people, or None
    op: str = ""

    @property
    def title(self) -> str:
        return f"{self.stage}/{self.name}"


@dataclass
class Result:
    """state: pass, fail, unsupported or expected-fail."""

    title: str
    state: str
    text: str = ""
    op: str = ""
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value or key in ("title", "state")}


def attempt(case: Case, target: Target) -> Result | None:
    """Runs one case; None where there is nothing to compare with."""
    begun = time.perf_counter()
    try:
        state, text = "pass", case.run(target) or ""
    except NoCase:
        return None
    except (NotOffered, UnsupportedOpError) as reason:
        state, text = "unsupported", str(reason)
    except AssertionError as error:
        state, text = "fail", str(error).strip()
    except (Exception, SystemExit) as error:
        text = str(error) if isinstance(error, HelixError) else f"{type(error).__name__}: {error}"
        cause = error.__cause__
        state, text = "fail", text + (f" <- {type(cause).__name__}: {cause}" if cause else "")
    return Result(case.title, state, text, case.op, round(time.perf_counter() - begun, 4))


def chosen(cases: Iterator[Case], pattern: str) -> Iterator[Case]:
    """Those whose title matches a shell pattern; "" keeps all."""
    from fnmatch import fnmatchcase

    return (case for case in cases if not pattern or fnmatchcase(case.title, f"*{pattern}*"))
