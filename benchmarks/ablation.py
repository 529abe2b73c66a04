"""What each part of the score adds: `python -m benchmarks.ablation --suite adbench --data DIR`.

Every set is fitted once; the parts are then left out of the score one at a time.
"""

import argparse
import dataclasses
import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from anomdiff import TabularDetector
from anomdiff.metrics.detection import auroc, average_precision
from anomdiff.scoring.calibration import ScoreCalibration
from benchmarks.protocols import cap, shuffled
from benchmarks.suites import SUFFIXES, Dataset, Split, find_sets

MAX_TRAIN, MAX_TEST = 25_000, 20_000
NETWORK, DISTANCES, RANKS = 0, 1, 2


def keep(calibration: ScoreCalibration, voices: list[int]) -> ScoreCalibration:
    """Leave all but some voices out of a score; their weights keep their proportions."""
    weights = [w if i in voices else 0.0 for i, w in enumerate(calibration.weights)]
    total = sum(weights)
    return dataclasses.replace(calibration, weights=[w / total for w in weights])


def drop(calibration: ScoreCalibration, voice: int) -> ScoreCalibration:
    """Leave one voice out."""
    return keep(calibration, [i for i in range(len(calibration.weights)) if i != voice])


def plain_distances(calibration: ScoreCalibration) -> ScoreCalibration:
    """Leave the local scales out of the memory's voices (their spread becomes infinite)."""
    std, spreads = list(calibration.level_std), list(calibration.voice_std)
    for voice in range(1, len(std)):
        if len(std[voice]) == 2:
            std[voice] = torch.stack([std[voice][0], torch.tensor(torch.inf, dtype=torch.double)])
            spreads[voice] = 0.5  # of a mean whose other half is gone
    return dataclasses.replace(calibration, level_std=std, voice_std=spreads)


def variants(detector: TabularDetector) -> dict[str, ScoreCalibration]:
    """Calibrations with parts left out; a table without such a part keeps its full score."""
    full = detector.calibration_
    n_views = len(detector.ensemble_.memory)
    related = detector.dependence_ is not None
    return {
        "everything": full,
        "without the network": drop(full, NETWORK),
        "network alone": keep(full, [NETWORK]),
        "without ranks": drop(full, RANKS) if n_views == 2 else full,
        "without distances": drop(full, DISTANCES) if n_views == 2 else full,
        "without local scales": plain_distances(full),
        "without category dependence": drop(full, len(full.weights) - 1) if related else full,
    }


def measure(dataset: Dataset, seed: int) -> list[tuple]:
    """Figures of every variant on one set."""
    torch.set_num_threads(1)
    data = dataset.read()
    split = cap(
        data if isinstance(data, Split) else shuffled(data, seed), MAX_TRAIN, MAX_TEST, seed
    )
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = TabularDetector(random_state=seed, progress=False).fit(split.train)
        # The voices are asked once: their search of the memory is what takes the time.
        encoded = detector._encode(detector._check(split.test, reset=False))
        blocks = detector._map_rows(detector._misses, *encoded)
        misses = [torch.cat(voice) for voice in zip(*blocks, strict=True)]
        for name, calibration in variants(detector).items():
            scores = calibration.score(misses).numpy()
            figures = auroc(split.anomalous, scores), average_precision(split.anomalous, scores)
            rows.append((dataset.name, seed, name, *figures))
    return rows


def main() -> None:
    """Run all sets and print the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", required=True, choices=SUFFIXES)
    parser.add_argument("--data", type=Path, required=True, help="folder of the files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    sets = find_sets(options.suite, options.data)
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, context) as pool:
        work = pool.map(partial(measure, seed=options.seed), sets)
        rows = [row for rows in tqdm(work, total=len(sets), unit="set") for row in rows]
    table = pd.DataFrame(rows, columns=["set", "seed", "variant", "auroc", "ap"])
    table.to_csv(options.out, index=False)
    means = table.groupby("variant", sort=False)[["auroc", "ap"]].mean().mul(100)
    print(means.round(2).to_string())
    parts = [f"{name} AUROC {row.auroc:.2f} AP {row.ap:.2f}" for name, row in means.iterrows()]
    print(" | ".join([*parts, f"sets {len(sets)}"]))


if __name__ == "__main__":
    main()
