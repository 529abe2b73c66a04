"""What each part of the score adds: `python -m benchmarks.tables.ablation --suite adbench ...`.

Every set is fitted once; the parts are then left out of the score one at a time.
"""

import argparse
import dataclasses
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from anomdiff.metrics.detection import auroc, average_precision
from anomdiff.models.tabular_model import TabularModel
from anomdiff.scoring.calibration import ScoreCalibration
from benchmarks.common.commands import add_processes
from benchmarks.common.processes import gather
from benchmarks.common.results import complete, write
from benchmarks.tables.methods import TABLES, means_line, tabular
from benchmarks.tables.protocols import as_frame, read_split
from benchmarks.tables.reading import SUITES, Dataset, find_sets

__all__ = ["main", "measure", "variants"]

MAX_TRAIN, MAX_TEST = 25_000, 20_000
NETWORK, DISTANCES, RANKS = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> None:
    """Run all sets and print the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", required=True, choices=SUITES)
    parser.add_argument("--data", type=Path, help="folder of the files; not for generated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    add_processes(parser)
    options = parser.parse_args(argv)
    sets = find_sets(options.suite, options.data)
    rows = gather(partial(measure, seed=options.seed), sets, options.processes)
    table = pd.DataFrame(rows, columns=["set", "seed", "variant", "auroc", "ap"])
    write(table, options.out)
    shown = list(table["variant"].unique())
    figures = complete(table.rename(columns={"variant": "method"}), TABLES.measures, shown)
    print((100 * figures.mean()).unstack(0).loc[shown, [*TABLES.measures]].round(2).to_string())
    print(means_line(figures))


def measure(dataset: Dataset, seed: int) -> list[tuple]:
    """Figures of every variant on one set."""
    split = read_split(dataset, "shuffled", MAX_TRAIN, MAX_TEST, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = tabular(seed).fit(as_frame(split.train)).model_
        # Computed once: the search of the reference rows is what takes the time.
        test = model.schema.check(as_frame(split.test)[model.columns])
        components = model.components(*model.encode(test))
    rows = []
    for name, calibration in variants(model).items():
        scores = calibration.score(components).numpy()
        figures = auroc(split.anomalous, scores), average_precision(split.anomalous, scores)
        rows.append((dataset.name, seed, name, *figures))
    return rows


def variants(model: TabularModel) -> dict[str, ScoreCalibration]:
    """Calibrations with parts left out; a table without such a part keeps its full score."""
    full = model.calibration
    both = len(model.ensemble.views) == 2
    return {
        "everything": full,
        "without the network": _without(full, NETWORK),
        "network alone": _keep(full, [NETWORK]),
        "without ranks": _without(full, RANKS) if both else full,
        "without distances": _without(full, DISTANCES) if both else full,
        "without local scales": _plain_distances(full),
        "without category dependence": _without(full, -1) if model.ensemble.cooccurrence else full,
    }


def _keep(calibration: ScoreCalibration, components: Sequence[int]) -> ScoreCalibration:
    """Leave all but some components out; their weights keep their proportions."""
    weights = [w if i in components else 0.0 for i, w in enumerate(calibration.weights)]
    total = sum(weights)
    return dataclasses.replace(calibration, weights=[w / total for w in weights])


def _without(calibration: ScoreCalibration, component: int) -> ScoreCalibration:
    every = list(range(len(calibration.weights)))
    return _keep(calibration, [i for i in every if i != every[component]])


def _plain_distances(calibration: ScoreCalibration) -> ScoreCalibration:
    """Leave the local scales out of the distances (their spread becomes infinite)."""
    std, spreads = list(calibration.level_std), list(calibration.component_std)
    for component in range(1, len(std)):
        if len(std[component]) == 2:
            infinite = torch.tensor(torch.inf, dtype=torch.double)
            std[component] = torch.stack([std[component][0], infinite])
            spreads[component] = 0.5  # of a mean whose other half is gone
    return dataclasses.replace(calibration, level_std=std, component_std=spreads)


if __name__ == "__main__":
    main()
