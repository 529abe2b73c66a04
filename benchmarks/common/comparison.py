"""Fit a method to one part of a labelled set, score the other part, and judge the scores."""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmarks.common.methods import Fit
from benchmarks.common.processes import measure_all, measured
from benchmarks.common.results import ResultsFile

__all__ = ["Comparison", "Failures", "Rows", "Source", "Split", "Task", "fill", "measure"]

Rows = np.ndarray | pd.DataFrame


class Split(NamedTuple):
    """Rows to fit on and rows to score, or the steps of series, and which of these are anomalous.

    Train and test are the same object where a method is fitted on what it scores.
    """

    train: Rows
    test: Rows
    anomalous: np.ndarray


@dataclass(frozen=True)
class Source:
    """A labelled set: what the results call it, by column, its own name first; how it is read."""

    names: Mapping[str, str]
    read: Callable[[], Split]

    @property
    def name(self) -> str:
        """Its own name."""
        return next(iter(self.names.values()))


def _nothing(split: Split) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Comparison:
    """What a comparison of tables, or of series, adds to the harness.

    The methods; columns of the results, and those that tell one row from another (the key); the
    function that finds sizes and measures of a split and its scores; the measures whose means are
    shown, by name, and their columns; what methods and judge need to know of a split beside the
    rows; and what a method does once per process, which belongs to no set's time.
    """

    methods: Mapping[str, Fit]
    columns: Sequence[str]
    key: Sequence[str]
    judge: Callable[..., dict[str, float]]
    measures: Mapping[str, str]
    context: Callable[[Split], dict[str, Any]] = _nothing
    warm_ups: Mapping[str, Callable[[], Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One measurement: a method, named by a label in the results, on a source."""

    comparison: Comparison
    source: Source
    method: str
    label: str
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, Any]:
        """Source, seed and method, by column."""
        return {**self.source.names, "seed": self.seed, "method": self.label}

    @property
    def key(self) -> tuple:
        """What tells one row of the results from another."""
        return tuple(self.names[column] for column in self.comparison.key)


def measure(task: Task) -> dict[str, Any]:
    """Fit, score and judge; raise whatever goes wrong.

    A row of the results: names, sizes, measures in [0, 1], seconds and memory.
    """
    comparison, split = task.comparison, task.source.read()
    context = comparison.context(split)
    own = {"params": task.params} if task.params else {}
    fit = partial(comparison.methods[task.method], **context, **own)
    comparison.warm_ups.get(task.method, int)()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores, cost = measured(lambda: fit(split.train, task.seed), split.test)
    judged = comparison.judge(split, np.asarray(scores), **context)
    row = task.names | {name: round(value, 6) for name, value in judged.items()} | cost
    return {column: row[column] for column in comparison.columns}


class Failures(set):
    """Lines on the error stream: each failure of a set once, however many seeds it fails for."""

    def report(self, name: str, method: str, error: Exception) -> None:
        """Print the first line of the error, unless it was printed before."""
        reason = str(error).strip().splitlines() or [type(error).__name__]
        line = f"failed: {name}, {method}: {reason[0]}"
        if line not in self:
            self.add(line)
            tqdm.write(line, file=sys.stderr)


def fill(file: ResultsFile, tasks: Sequence[Task], processes: int, failures: Failures) -> None:
    """Measure what the file does not have yet, with a progress bar; failures do not end the run."""
    done = file.keys()
    todo = [task for task in tasks if task.key not in done]
    with tqdm(total=len(tasks), initial=len(tasks) - len(todo), unit="run") as bar:
        for task, result in measure_all(measure, todo, processes):
            name = task.source.name
            if isinstance(result, Exception):
                failures.report(name, task.label, result)
            else:
                file.append(result)
            bar.set_postfix_str(f"{name[:24]} {task.label}", refresh=False)
            bar.update()
