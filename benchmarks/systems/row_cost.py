"""What scoring a row costs, part by part: `python -m benchmarks.systems.row_cost`.

CPU time per row on one thread, the median of several runs, beside that of an isolation forest;
and of an explanation and a repair of one row alone, with two cells that are far out.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import IsolationForest

from anomdiff.models.tabular_model import TabularModel
from benchmarks.common.commands import add_params, count
from benchmarks.common.results import write
from benchmarks.tables.methods import tabular

__all__ = ["main", "measure", "parts"]

# Value of the cells that are explained and repaired; others have a standard deviation of about 1.
FAR = 60.0


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the command line asks for; the last line holds the figures."""
    options = _parser().parse_args(argv)
    torch.set_num_threads(1)
    sizes = options.n_train, options.n_rows, options.n_columns
    figures = measure(*sizes, options.repeats, options.seed, options.params)
    write(figures, options.out)
    listed = " | ".join(f"{row.part} {row.us_per_row:.1f}" for row in figures.itertuples())
    print(f"us per row of {options.n_columns} columns: {listed}")


def measure(
    n_train: int, n_rows: int, n_columns: int, repeats: int, seed: int, params: Any = None
) -> pd.DataFrame:
    """CPU time per row of parts, whole, forest and answers; columns part, us_per_row."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(n_columns) + 0.3 * rng.normal(size=(n_columns, n_columns))
    train, rows = (
        pd.DataFrame(rng.normal(size=(n, n_columns)) @ mixing).add_prefix("x")
        for n in (n_train, n_rows)
    )
    detector = tabular(seed, params).fit(train)
    forest = IsolationForest(random_state=seed).fit(train)
    calls = {
        **parts(detector.model_, rows),
        "whole": lambda: detector.score_frame(rows),
        "isolation forest": lambda: forest.score_samples(rows),
    }
    times = [(name, 1e6 * _seconds(call, repeats) / n_rows) for name, call in calls.items()]
    alone = rows.iloc[:1].copy()
    alone.iloc[0, [0, -1]] = FAR
    answers = {"explain": detector.explain, "repair": detector.repair}
    times += [
        (name, 1e6 * _seconds(partial(answer, alone), repeats)) for name, answer in answers.items()
    ]
    return pd.DataFrame(times, columns=["part", "us_per_row"])


def parts(model: TabularModel, rows: pd.DataFrame) -> dict[str, Callable[[], Any]]:
    """Calls that work out one part of the score of some rows each, by name."""
    ensemble, checked = model.ensemble, model.schema.check(rows)
    values, observed = model.encode(checked)
    share = torch.ones(len(values), dtype=torch.float64)
    weighted, seen = values * model.distance_weights, model.network_view
    components = model.components(values, observed)
    calls: dict[str, Callable[[], Any]] = {"encoding": lambda: model.encode(checked)}
    for each in ensemble.reconstructions:
        calls[each.name] = lambda each=each: each.errors(  # type: ignore[misc]
            ensemble.denoiser, values[:, seen], observed[:, seen], share
        )
    for i, (search, view) in enumerate(zip(ensemble.searches, ensemble.views, strict=True)):
        calls[f"nearest {i + 1}"] = lambda search=search, view=view: search.distances(  # type: ignore[misc]
            weighted[:, view], observed[:, view]
        )
    for i, subsets in enumerate(ensemble.subset_searches):
        calls[f"subsets {i + 1}"] = lambda subsets=subsets: subsets.errors(  # type: ignore[misc]
            weighted, observed, share[:, None]
        )
    calls["calibration"] = lambda: model.calibration.score(components)
    return calls


def _seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median CPU time of a call."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return float(np.median(times))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.systems.row_cost", description=__doc__
    )
    add = parser.add_argument
    add("--n-train", type=count, default=25_000, help="rows to fit")
    add("--n-rows", type=count, default=4_096, help="rows to score")
    add("--n-columns", type=count, default=30)
    add("--repeats", type=count, default=5)
    add("--seed", type=int, default=0)
    add("--out", type=Path, help="a CSV")
    add_params(parser)
    return parser


if __name__ == "__main__":
    main()
