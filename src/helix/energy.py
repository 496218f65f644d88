"""Energy: joules by the processor's own counters (RAPL), where the system lets us read them; never guessed."""

from __future__ import annotations

from pathlib import Path

COUNTERS = Path("/sys/class/powercap")
NOT_HERE = "not measurable here: no energy counter of the processor can be read"


class Energy:
    """Joules that the processor packages have taken since it was made; None where that cannot be measured.

    >>> helix.energy.Energy("/nowhere").joules() is None
    True
    """

    def __init__(self, folder: str | Path = COUNTERS) -> None:
        self._ranges: dict[Path, int] = {}
        for domain in sorted(Path(folder).glob("intel-rapl:[0-9]*")):
            if domain.name.count(":") == 1 and _read(domain / "energy_uj") is not None:
                self._ranges[domain] = _read(domain / "max_energy_range_uj") or 2**32
        self._last = {domain: _read(domain / "energy_uj") or 0 for domain in self._ranges}
        self._total = 0

    @property
    def is_measurable(self) -> bool:
        return bool(self._ranges)

    def joules(self) -> float | None:
        """Counters that began again at 0 are followed, if this is called at least once a round of them (minutes)."""
        if not self._ranges:
            return None
        for domain, span in self._ranges.items():
            now = _read(domain / "energy_uj")
            if now is not None:
                self._total += (now - self._last[domain]) % (span + 1)
                self._last[domain] = now
        return self._total / 1e6

    def __str__(self) -> str:
        found = self.joules()
        return NOT_HERE if found is None else f"{found:.1f} J"


def _read(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
