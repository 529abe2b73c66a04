"""Measure one method on one series, and fill a results file with many of these."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from anomdiff.metrics.detection import auroc, average_precision, period, vus_pr, vus_roc
from benchmarks.results import ResultsFile
from benchmarks.runs import forget_peak, measure_all, peak_memory, timed
from benchmarks.series_files import Source
from benchmarks.series_methods import METHODS, WARM_UPS

OURS = "anomdiff", "anomdiff-transductive"


@dataclass(frozen=True)
class Task:
    """One measurement: a method on a series.

    Parameters
    ----------
    source : Source
        The series.
    method : str
        One of `METHODS`.
    label : str
        Name of the method in the results.
    seed : int
        Of the method.
    params : dict
        Parameters of our detector that differ from its defaults.
    """

    source: Source
    method: str
    label: str
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What tells one row of the results from another."""
        return self.source.name, self.label


def labels(methods: Sequence[str], params: Mapping[str, Any]) -> dict[str, str]:
    """Name of each method in the results; other parameters never pass for the default."""
    changed = ",".join(f"{name}={value}" for name, value in params.items())
    return {m: f"{m}[{changed}]" if changed and m in OURS else m for m in methods}


def tasks_of(
    sources: Sequence[Source], methods: Sequence[str], seed: int, params: Mapping[str, Any]
) -> list[Task]:
    """Every method on every series, in the order of the series."""
    named = labels(methods, params)
    return [
        Task(source, method, label, seed, params if method in OURS else {})
        for source in sources
        for method, label in named.items()
    ]


def measure(task: Task) -> dict[str, Any]:
    """Fit, score and judge.

    Returns
    -------
    row : dict
        Of the results: names, sizes, the measures in [0, 1], seconds, and the largest memory of
        the process in MiB (NaN where the system does not tell).

    Raises
    ------
    Exception
        Whatever reading, fitting or scoring raises.
    """
    series = task.source.read()
    window = period(series.whole)
    fit = partial(METHODS[task.method], **({"params": task.params} if task.params else {}))
    WARM_UPS.get(task.method, int)()
    forget_peak()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score, fit_seconds = timed(lambda: fit(series.train, window, task.seed))
        scores, score_seconds = timed(lambda: np.asarray(score(series.whole)))
    peak = peak_memory()
    judged = series.anomalous, scores
    return {
        "file": task.source.name,
        "family": task.source.family,
        "n": len(series.whole),
        "n_channels": series.whole.shape[1],
        "method": task.label,
        "vus_pr": round(vus_pr(*judged, window), 6),
        "vus_roc": round(vus_roc(*judged, window), 6),
        "auc_pr": round(average_precision(*judged), 6),
        "auc_roc": round(auroc(*judged), 6),
        "fit_seconds": round(fit_seconds, 3),
        "score_seconds": round(score_seconds, 3),
        "peak_memory_mb": peak,
    }


def fill(file: ResultsFile, tasks: Sequence[Task], processes: int) -> int:
    """Measure what the file does not have yet, with a progress bar; return how many failed.

    A failure is a line on the error stream, and the run goes on.
    """
    done = file.keys()
    todo = [task for task in tasks if task.key not in done]
    n_failed = 0
    with tqdm(total=len(tasks), initial=len(tasks) - len(todo), unit="run") as bar:
        for task, result in measure_all(todo, processes, measure):
            if isinstance(result, Exception):
                n_failed += 1
                reason = (str(result).splitlines() or [""])[0]
                tqdm.write(f"failed: {task.source.name}, {task.label}: {reason}", file=sys.stderr)
            else:
                file.append(result)
            bar.set_postfix_str(f"{task.source.name[:24]} {task.label}", refresh=False)
            bar.update()
    return n_failed
