"""Damaged files of graphs: typed errors, in bounded time and memory; what still loads, runs or refuses.

python -m tests.graph.mutations --times 10000
"""

from __future__ import annotations

import copy
import json
import os
import random
import sys
import tempfile
import time
from typing import Any

import helix
from helix.errors import HelixError
from helix.graph import Graph, files, load

from ..mutations import bytes_changed, options, outcomes

SECONDS = 2.0  # for a file of some kilobytes
HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2, 7, 1 << 31, 1 << 62, (1 << 63) - 1, -(1 << 63), 1 << 64, 10**30, 0.5, 1e308, "", "x", "../../etc/passwd",
    "__import__", "\x00", "a" * 5000, [], [[]], {}, {"draw": -1}, {"draw": 5}, {"dtype": "float99"}, {"float": "nan"},
    {"complex": [1, 2]}, {"expression": [[1, 0, ["B"]]]}, {"expression": [[1, 2, ["B"]]]}, {"expression": [[1, 1, ["B"] * 60]]},
    {"unknown": "?"}, [1 << 40] * 8, "relu", "matmul", "copy", "float64", "int64", "cuda:7", "scan",
)  # fmt: skip


def samples() -> list[Graph]:
    """Of everything that a file can hold something."""
    from .test_files import CASES

    return [make() for make in CASES.values()]


def spots(data: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """All places of a JSON value: (container, key)."""
    for key in list(data) if isinstance(data, dict) else range(len(data)):
        found.append((data, key))
        if isinstance(data[key], (dict, list)):
            spots(data[key], found)
    return found


def altered(data: Any, rng: random.Random) -> Any:
    """The data with one to three places changed."""
    data = copy.deepcopy(data)
    for _ in range(rng.randint(1, 3)):
        container, key = rng.choice(spots(data, []))
        kind = rng.randrange(5)
        if kind == 0 and isinstance(container, dict):
            del container[key]
        elif kind == 1 and isinstance(container, list):
            container.insert(key, copy.deepcopy(container[key]))
        elif kind == 2 and type(container[key]) is int:
            container[key] += rng.choice([-1, 1, 3, 1 << 20])
        elif kind == 3:
            other, place = rng.choice(spots(data, []))
            container[key] = copy.deepcopy(other[place])
        else:
            container[key] = copy.deepcopy(rng.choice(HOSTILE))
    return data


def attempt(path: str) -> str:
    """Loads a file, and runs it if it is a small one; "loaded", or the error's code. Anything but a HelixError is raised."""
    start = time.process_time()
    try:
        graph = load(path)
        graph.check()
        result = "loaded"
        if not graph.find("while_loop") and not graph.is_symbolic() and graph.peak_bytes() < 1 << 20:
            leaves = [helix.ones(v.shape, dtype=v.dtype) for v in graph.inputs]
            graph(*graph.in_tree.fill(iter(leaves)))
    except HelixError as error:
        result = str(error.code)
    if time.process_time() - start > SECONDS:
        raise AssertionError(f"{time.process_time() - start:.1f} s for a file of {os.path.getsize(path)} bytes")
    return result


def run(first: int, count: int) -> dict[str, int]:
    """How often each outcome came."""
    graphs = samples()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "graph.safetensors")
        plain = []
        for graph in graphs:
            graph.save(path)
            with open(path, "rb") as file:
                plain.append(file.read())

        def attempt_one(rng: random.Random) -> str:
            k = rng.randrange(len(graphs))
            if rng.random() < 0.25:
                with open(path, "wb") as file:
                    file.write(bytes_changed(plain[k], rng))
            else:
                text = json.dumps(altered(json.loads(graphs[k].to_json()), rng))
                helix.io.save_file(files.tensors_of(graphs[k]), path, {files.KEY: text})
            return attempt(path)

        return outcomes(attempt_one, first, count)


def main() -> int:
    given = options(__doc__)
    print(run(given.first, given.times))
    return 0


if __name__ == "__main__":
    sys.exit(main())
