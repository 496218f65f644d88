"""Draws a Summary with rich; plain text when it is printed to a file."""

from __future__ import annotations

from io import StringIO


def scaled(number: float) -> str:
    """1234567 -> '1.23 M'"""
    for unit in ("", " k", " M", " G", " T"):
        if abs(number) < 1000:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g} P"


def byte_size(number: float) -> str:
    """1536 -> '1.5 KiB'"""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.3g} {unit}"
        number /= 1024
    return f"{number:.3g} TiB"


def draw(summary) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=f"{summary.model}  input {_shapes(summary.input_shapes)}",
        title_justify="left",
        title_style="",
    )
    table.add_column("layer", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    for name in ("result", "parameters", "FLOPs", "bytes"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in summary.rows:
        if row.path:
            depth, name = row.path.count("."), row.path.rpartition(".")[2]
            table.add_row(
                "  " * depth + name,
                row.kind,
                str(row.shape) if row.shape else "not called",
                f"{row.parameters:,}" if row.parameters else "",
                scaled(row.flops) if row.flops else "",
                byte_size(row.result_bytes) if row.result_bytes else "",
            )
    if len(summary.rows) == 1:
        row = summary.rows[0]
        table.add_row(
            "", row.kind, str(row.shape), f"{row.parameters:,}", scaled(row.flops), byte_size(row.result_bytes)
        )
    out = StringIO()
    Console(file=out, width=110, no_color=True).print(table)
    frozen = summary.parameters - summary.trainable
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + (
        f"\n{summary.parameters:,} parameters"
        + (f" ({frozen:,} frozen)" if frozen else "")
        + f", {byte_size(summary.parameter_bytes)};  {scaled(summary.flops)} FLOP a forward pass;  "
        f"{byte_size(summary.result_bytes)} of results"
    )


def _shapes(shapes) -> str:
    return ", ".join(map(str, shapes))
