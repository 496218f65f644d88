"""What a finished run leaves to look at: summary.json, curve.svg, confusion.svg, sample.txt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._core import Generator
from ..data import DataInfo, Dataset, Loader
from . import checkpoint, confusion, curve, page, profiling
from .config import Sample
from .folder import RunFolder
from .trainer import Trainer

MAX_CLASSES = 100


def finish(
    trainer: Trainer, folder: RunFolder, info: DataInfo, test: Dataset, name: str, seconds: float, sample: Sample
) -> dict[str, Any]:
    """Writes the reports into the run folder; returns the summary."""
    last, taken = trainer.history[-1], checkpoint.chosen(folder.checkpoints)
    told = next((r for r in reversed(trainer.history) if r["step"] == int(taken.name[5:])), last)
    steps = [r for r in folder.records() if r["event"] == "step"]
    folder.write("curve.svg", curve.draw(name, steps, trainer.history))
    summary = {
        "name": name,
        "status": "finished",
        "task": info.task,
        "steps": last["step"],
        "epochs": last["epoch"],
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "seconds": round(seconds, 2),
        "train": _part(told, "train_"),
        "test": _part(told, "test_"),
        "last_test": _part(last, "test_"),
        "epoch": told["epoch"],
        "checkpoint": taken.name,
    }
    if info.task == "classification" and 2 <= info.outputs <= MAX_CLASSES:
        summary["confusion"] = _confusion(trainer, folder, info, test, name)
    if info.task == "language" and hasattr(trainer.model, "generate"):
        text = trainer.model.generate(
            sample.prompt.encode(), sample.count, sample.temperature, Generator().manual_seed(trainer.settings.seed)
        )
        summary["sample"] = sample.prompt + text.decode("utf-8", "replace")
        folder.write("sample.txt", summary["sample"] + "\n")
    folder.write_json("summary.json", summary)
    folder.write("report.html", _page(trainer, folder, info, test, summary))
    return summary


def _page(trainer: Trainer, folder: RunFolder, info: DataInfo, test: Dataset, summary: dict[str, Any]) -> str:
    plain = ("task", "epoch", "steps", "epochs", "parameters", "seconds", "checkpoint")
    numbers = {f"test {name}": value for name, value in summary["test"].items()}
    numbers |= {f"train {name}": value for name, value in summary["train"].items()}
    names = info.classes or tuple(map(str, range(info.outputs)))
    confused = "confusion" in summary
    sections = {
        "Result": page.table({**numbers, **{name: summary[name] for name in plain}}),
        "Curves": _file(folder, "curve.svg"),
        "What was taken for what": _file(folder, "confusion.svg") if confused else "",
        "The least likely test images": page.worst_images(trainer.model, test, names, trainer.device)
        if confused
        else "",
        "Sample": page.text(summary.get("sample", "")),
        "Epochs": page.epochs(trainer.history),
        profiling.HEADING: profiling.section(folder.path),
        "Configuration": page.text(_file(folder, "config.toml")),
        "Environment": page.text(_file(folder, "env.json")),
    }
    return page.draw(summary["name"], sections)


def _file(folder: RunFolder, name: str) -> str:
    path = folder.path / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _part(record: dict[str, Any], prefix: str) -> dict[str, float]:
    return {key.removeprefix(prefix): value for key, value in record.items() if key.startswith(prefix)}


def _confusion(trainer: Trainer, folder: RunFolder, info: DataInfo, test: Dataset, name: str) -> list[list[int]]:
    targets: list[int] = []
    guesses: list[int] = []
    for *inputs, target in Loader(test, 256):
        targets += target.tolist()
        guesses += trainer.model.infer(*(x.to(trainer.device) for x in inputs)).argmax(-1).tolist()
    counts = confusion.matrix(targets, guesses, info.outputs)
    right = sum(counts[i][i] for i in range(len(counts)))
    names = info.classes or tuple(map(str, range(info.outputs)))
    title = f"{name}: {right} of {len(targets)} test samples right, {right / len(targets):.2%}"
    folder.write("confusion.svg", confusion.draw(counts, names, title))
    return counts


def files(folder: Path) -> list[str]:
    """The reports that are there."""
    return [
        name
        for name in ("summary.json", "curve.svg", "confusion.svg", "sample.txt", "report.html", "metrics.jsonl")
        if (folder / name).exists()
    ]
