"""Run work in several processes of one thread each; measure its seconds and its memory."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

__all__ = ["gather", "measure_all", "measured", "timed"]

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def measure_all(
    work: Callable[[Any], Any], tasks: Sequence, processes: int = 1
) -> Iterator[tuple[Any, Any | Exception]]:
    """Yield each task with its result, or with what went wrong, in the order of completion.

    Every process uses one thread. With one process the tasks run in this one.
    """
    if processes == 1:
        with threadpool_limits(1):
            yield from ((task, _attempt(work, task)) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")  # forked OpenMP threads may hang
    one_thread = torch.set_num_threads, (1,)
    # OpenMP reads its variables when a process loads it.
    with (
        patch.dict(os.environ, ONE_THREAD),
        ProcessPoolExecutor(processes, context, *one_thread) as pool,
    ):
        futures = {pool.submit(_attempt, work, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures.pop(future), _result(future)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def gather(work: Callable[[Any], list], tasks: Sequence, processes: int = 1) -> list:
    """Results of all tasks in one list, with a progress bar; raise what goes wrong first."""
    gathered = []
    for _, found in tqdm(measure_all(work, tasks, processes), total=len(tasks), disable=None):
        if isinstance(found, Exception):
            raise found
        gathered += found
    return gathered


def measured(fit: Callable[[], Callable[[Any], Any]], rows: Any) -> tuple[Any, dict[str, float]]:
    """What the fitted function makes of rows; seconds, and largest memory in MiB (NaN: unknown)."""
    with suppress(OSError):  # not Linux: the peak, which this forgets, is not read either
        Path("/proc/self/clear_refs").write_text("5")
    score, fit_seconds = timed(fit)
    scores, score_seconds = timed(lambda: score(rows))
    return scores, {
        "fit_seconds": round(fit_seconds, 3),
        "score_seconds": round(score_seconds, 3),
        "peak_memory_mb": _peak_memory(),
    }


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Result of some work, and the seconds that it took."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _peak_memory() -> float:
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        kib = next((line.split()[1] for line in lines if line.startswith("VmHWM")), "nan")
        return round(float(kib) / 1024, 1)
    return float("nan")


def _attempt(work: Callable[[Any], Any], task: Any) -> Any | Exception:
    try:
        return work(task)
    except Exception as error:  # one bad set must not end a run of hours
        return RuntimeError(f"{type(error).__name__}: {error}")  # some errors cannot be pickled


def _result(future: Future) -> Any | Exception:
    try:
        return future.result()
    except BrokenExecutor:
        return RuntimeError("a process died, perhaps for want of memory; use fewer --processes")
