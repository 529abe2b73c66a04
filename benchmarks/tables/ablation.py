"""What each component adds: `python -m benchmarks.tables.ablation --suite adbench ...`.

Every set is fitted once; the components are then left out of the score one at a time.
"""

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from anomdiff.metrics.detection import auroc, average_precision
from anomdiff.models.tabular_model import TabularModel
from anomdiff.scoring.calibration import ScoreCalibration
from benchmarks.common.commands import add_params, add_processes
from benchmarks.common.methods import Params
from benchmarks.common.processes import gather
from benchmarks.common.results import complete, write
from benchmarks.tables.methods import TABLES, means_line, tabular
from benchmarks.tables.protocols import as_frame, read_split
from benchmarks.tables.reading import SUITES, Dataset, find_sets

__all__ = ["filled", "main", "measure", "variants"]

MAX_TRAIN, MAX_TEST = 25_000, 20_000
COLUMNS = ["set", "seed", "variant", "auroc", "ap"]
EVERYTHING = "everything"


def main(argv: Sequence[str] | None = None) -> None:
    """Run all sets and print the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", required=True, choices=SUITES)
    parser.add_argument("--data", type=Path, help="folder of the files; not for generated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    add_processes(parser)
    add_params(parser)
    options = parser.parse_args(argv)
    sets = find_sets(options.suite, options.data)
    task = partial(measure, seed=options.seed, params=options.params)
    rows = gather(task, sets, options.processes)
    table = filled(pd.DataFrame(rows, columns=COLUMNS))
    write(table, options.out)
    shown = list(table["variant"].unique())
    figures = complete(table.rename(columns={"variant": "method"}), TABLES.measures, shown)
    print((100 * figures.mean()).unstack(0).loc[shown, [*TABLES.measures]].round(2).to_string())
    print(means_line(figures))


def measure(dataset: Dataset, seed: int, params: Params = None) -> list[tuple]:
    """Figures of every variant on one set, as `COLUMNS`."""
    split = read_split(dataset, "shuffled", MAX_TRAIN, MAX_TEST, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = tabular(seed, params).fit(as_frame(split.train)).model_
        test = model.schema.check(as_frame(split.test)[model.columns])
    components = model.calibration.standardise(model.components(*model.encode(test)))
    rows = []
    for name, calibration in variants(model).items():
        scores = combined(calibration, components).numpy()
        figures = auroc(split.anomalous, scores), average_precision(split.anomalous, scores)
        rows.append((dataset.name, seed, name, *figures))
    return rows


def variants(model: TabularModel) -> dict[str, ScoreCalibration]:
    """The calibration with one component left out, with or without the network, or simpler."""
    full, names = np.array(model.calibration.weights), np.array(model.ensemble.names)
    network = np.char.endswith(names, " noise")
    weights = {
        EVERYTHING: full,
        "network alone": np.where(network, full, 0.0),
        "without the network": np.where(network, 0.0, full),
        "equal weights": np.ones(len(full)),
        **{f"without {name}": np.where(names == name, 0.0, full) for name in names},
    }
    made = {
        name: replace(model.calibration, weights=[*(w / w.sum())]) for name, w in weights.items()
    }
    return {**made, "without the maximum": replace(model.calibration, maximum_share=0.0)}


def combined(calibration: ScoreCalibration, standard: Sequence[Tensor]) -> Tensor:
    """Score rows by the components that have a weight, as if there were no others."""
    kept = [(w, each) for w, each in zip(calibration.weights, standard, strict=True) if w]
    weights, components = zip(*kept, strict=True)
    return replace(calibration, weights=weights).combine(components)


def filled(table: pd.DataFrame) -> pd.DataFrame:
    """Give every set all variants: leaving out what a set does not have changes nothing."""
    names, parts = table["variant"].unique(), []
    for _, of_set in table.groupby(["set", "seed"], sort=False):
        figures = of_set.set_index("variant")
        parts.append(figures.reindex(names).fillna(figures.loc[EVERYTHING]).reset_index())
    return pd.concat(parts, ignore_index=True)[COLUMNS]


if __name__ == "__main__":
    main()
