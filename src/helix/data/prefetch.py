"""Batches fetched ahead, in order, by threads or processes, in a bounded number of bytes."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, resource_tracker
from multiprocessing.shared_memory import SharedMemory
from traceback import format_exception

from .. import from_numpy
from ..tensor import Tensor

Batch = tuple[Tensor, ...]


def size_of(batch: Batch) -> int:
    return sum(t.numel() * t.element_size() for t in batch)


def ahead(
    fetch: Callable[[Sequence[int]], Batch], batches: Sequence[Sequence[int]], workers: int, limit: int
) -> Iterator[Batch]:
    """`fetch(batch)` for each, in order, while threads fetch the next ones: together at most `limit` bytes, or one batch."""
    with ThreadPoolExecutor(workers, "helix-data") as pool:
        yield from _in_order(pool, fetch, batches, workers, limit, lambda batch: batch)


def ahead_in_processes(
    fetch: Callable[[Sequence[int]], Batch], batches: Sequence[Sequence[int]], workers: int, limit: int
) -> Iterator[Batch]:
    """The same by processes forked from this one; their batches come through shared memory."""
    resource_tracker.ensure_running()
    with ProcessPoolExecutor(workers, get_context("fork"), _remember, (fetch, os.getpid())) as pool:
        try:
            yield from _in_order(pool, _fetch_shared, batches, workers, limit, _taken)
        except BrokenProcessPool as error:
            raise RuntimeError(
                "Loader: a worker process ended while it fetched a batch: the code of the dataset ended it, or the system "
                "did, for instance for want of memory or of room in /dev/shm"
            ) from error


def _in_order(pool: Executor, fetch, batches, workers: int, limit: int, take) -> Iterator[Batch]:
    """At most so many are under way that, each as large as the largest yet, they fit; the first one is measured alone."""
    waiting: deque[Future] = deque()
    largest, coming = 0, 0
    try:
        while coming < len(batches) or waiting:
            room = 1 if largest == 0 else max(1, min(2 * workers, limit // largest))
            while coming < len(batches) and len(waiting) < room:
                waiting.append(pool.submit(fetch, batches[coming]))
                coming += 1
            batch = take(waiting.popleft().result())
            largest = max(largest, size_of(batch), 1)
            yield batch
    finally:
        for future in waiting:
            if not future.cancel() and future.exception() is None:
                take(future.result())


# ---- processes ---------------------------------------------------------------------------------------------

_fetch: Callable[[Sequence[int]], Batch] | None = None


def _remember(fetch: Callable[[Sequence[int]], Batch], parent: int) -> None:
    global _fetch
    _fetch = fetch
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent's handler asks a training to stop, which this is not
    threading.Thread(target=_end_with, args=(parent,), name="helix-parent", daemon=True).start()


def _end_with(parent: int) -> None:
    """Ends this worker when the process that it works for was killed: it holds that one's files, and its locks."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _fetch_shared(indices: Sequence[int]) -> tuple[str, list[tuple[tuple[int, ...], str, int]]]:
    """In a worker: fetches, and leaves the batch in a block of shared memory; says where."""
    import numpy as np

    assert _fetch is not None
    try:
        arrays = [tensor.numpy() for tensor in _fetch(indices)]
    except Exception as error:
        if _is_portable(error):
            raise
        raise RuntimeError("".join(format_exception(error))) from None
    starts = [0]
    for array in arrays:
        starts.append(starts[-1] + (array.nbytes + 63) // 64 * 64)
    block = SharedMemory(create=True, size=max(1, starts[-1]))
    for array, start in zip(arrays, starts):
        np.ndarray(array.shape, array.dtype, block.buf, start)[...] = array
    block.close()
    return block.name, [(a.shape, a.dtype.name, start) for a, start in zip(arrays, starts)]


def _is_portable(error: Exception) -> bool:
    """Whether the error can be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return True


def _taken(told: tuple[str, list[tuple[tuple[int, ...], str, int]]]) -> Batch:
    """In the parent: the batch out of the block, which is given back."""
    import ml_dtypes  # noqa: F401  (gives NumPy the name bfloat16)
    import numpy as np

    name, kinds = told
    block = SharedMemory(name)
    try:
        return tuple(from_numpy(np.ndarray(shape, dtype, block.buf, start).copy()) for shape, dtype, start in kinds)
    finally:
        block.close()
        block.unlink()
