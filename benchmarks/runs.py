"""Measure one method on one set, and many of these in several processes."""

import multiprocessing
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from threadpoolctl import threadpool_limits

from benchmarks.methods import METHODS, SCREENS
from benchmarks.protocols import PROTOCOLS, cap
from benchmarks.suites import Dataset, Split

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class Task:
    """One measurement: a method, a set, a protocol and a seed.

    Parameters
    ----------
    dataset : Dataset
        The set.
    seed : int
        Of the split and of the method.
    method : str
        One of `METHODS`.
    protocol : str
        One of `PROTOCOLS`; ``"fixed"`` where the set comes split.
    max_train, max_test : int
        Most rows of the two parts.
    label : str
        Name of the method in the results.
    params : dict
        Parameters of our detector that differ from its defaults.
    """

    dataset: Dataset
    seed: int
    method: str
    protocol: str
    max_train: int
    max_test: int
    label: str
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What tells one row of the results from another."""
        return self.dataset.name, self.seed, self.label, self.protocol


def measure(task: Task) -> dict[str, Any]:
    """Fit, score and judge.

    Returns
    -------
    row : dict
        Of the results: the key, sizes, `auroc` and `ap` in [0, 1], seconds, and the largest
        memory of the process in MiB (NaN where the system does not tell).

    Raises
    ------
    Exception
        Whatever reading, splitting, fitting or scoring raises.
    """
    split = cap(_split(task), task.max_train, task.max_test, task.seed)
    extra = {"params": task.params} if task.params else {}
    fit = partial(METHODS[task.method], **extra)
    if split.test is split.train and task.method in SCREENS:
        fit = partial(_screening, SCREENS[task.method], **extra)
    forget_peak()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score, fit_seconds = timed(lambda: fit(split.train, task.seed))
        scores, score_seconds = timed(lambda: np.asarray(score(split.test)))
    if not np.isfinite(scores).all():
        raise ValueError(f"need finite scores; got {(~np.isfinite(scores)).sum()} others.")
    name, seed, label, protocol = task.key
    return {
        "set": name,
        "seed": seed,
        "method": label,
        "protocol": protocol,
        "n_train": len(split.train),
        "n_test": len(split.test),
        "n_columns": split.train.shape[1],
        "auroc": round(float(roc_auc_score(split.anomalous, scores)), 6),
        "ap": round(float(average_precision_score(split.anomalous, scores)), 6),
        "fit_seconds": round(fit_seconds, 3),
        "score_seconds": round(score_seconds, 3),
        "peak_memory_mb": peak_memory(),
    }


def measure_all(
    tasks: Sequence, processes: int, work: Callable[[Any], dict[str, Any]] | None = None
) -> Iterator[tuple[Any, dict[str, Any] | Exception]]:
    """Yield each task with its row, or with what went wrong, in the order of completion.

    Every process uses one thread. With one process the tasks run in this one. The work is
    ``measure`` unless another is given.
    """
    work = work or measure
    if processes == 1:
        with threadpool_limits(1):
            yield from ((task, _attempt(work, task)) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")  # forked OpenMP threads may hang
    with _environment(ONE_THREAD), ProcessPoolExecutor(processes, context, _one_thread) as pool:
        futures = {pool.submit(_attempt, work, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures.pop(future), _result(future)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _screening(screen, rows, seed, **extra):
    """Give a screen the form of a fit: the rows to score are known, and so are their scores."""
    scores = screen(rows, seed, **extra)
    return lambda test: scores


def _attempt(work: Callable, task: Any) -> dict[str, Any] | Exception:
    try:
        return work(task)
    except Exception as error:  # one bad set must not end a run of hours
        return RuntimeError(f"{type(error).__name__}: {error}")  # some errors cannot be pickled


def _result(future) -> dict[str, Any] | Exception:
    try:
        return future.result()
    except BrokenExecutor:
        return RuntimeError("a process died, perhaps for want of memory; use fewer --processes")


def _split(task: Task) -> Split:
    data = task.dataset.read()
    return data if isinstance(data, Split) else PROTOCOLS[task.protocol](data, task.seed)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Result of some work, and the seconds that it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def _one_thread() -> None:
    torch.set_num_threads(1)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables for the processes started inside: OpenMP reads them when it is loaded."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def forget_peak() -> None:
    """Let the next ``peak_memory`` know only of what comes from now on."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux: the peak is not read either
        pass


def peak_memory() -> float:
    """Largest memory of this process so far in MiB, NaN where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    kib = next((line.split()[1] for line in lines if line.startswith("VmHWM")), "nan")
    return round(float(kib) / 1024, 1)
