"""What verdicts on one batch do for the next: `python -m benchmarks.systems.feedback --data DIR`.

Half of the normal rows of a labelled set train; the other half and the anomalies make two batches
that share no row. The `N_VERDICTS` most severe alarms of the first get verdicts from the labels, as
`anomdiff feedback` takes them in; the alarms of the second are ordered by severity (before) and
as the alarm table of `anomdiff score` orders them with these verdicts (after). Precision is the
share of anomalies among the first `TOP_ALARMS`.
"""

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from anomdiff import TabularDetector
from anomdiff.feedback.judge import Judge
from anomdiff.feedback.verdicts import CONFIRMED, FALSE_ALARM
from benchmarks.common.commands import words
from benchmarks.common.processes import gather
from benchmarks.common.results import write
from benchmarks.tables.protocols import as_frame, take
from benchmarks.tables.reading import Dataset, Table, find_sets

__all__ = ["batches", "compare", "main", "measure", "summary"]

N_VERDICTS = TOP_ALARMS = 100
# More alarms than anybody reads: the verdicts say which of them are read.
ALARM_SHARE = 0.1
DEFAULT_SETS = ("fraud_oracle", "ai4i2020", "creditcard")
MAX_ITER = 3000
FULL_NAMES = {"creditcard": "creditcard_ulb_merged_subset"}
COLUMNS = ["set", "seed", "confirmed", "learned", "alarms", "muted", "muted_anomalies"]


def main() -> None:
    """Compare the sets and print what verdicts change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the mixed files")
    parser.add_argument("--sets", type=words, default=DEFAULT_SETS, help="sets, comma-separated")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-iter", type=int, default=MAX_ITER, help="training steps")
    parser.add_argument("--out", type=Path, required=True, help="results, a CSV")
    options = parser.parse_args()
    table = measure(options.data, options.sets, options.seeds, options.max_iter)
    write(table, options.out)
    print(table.to_string(index=False))
    print(summary(table))


def measure(
    folder: Path,
    names: Sequence[str] = DEFAULT_SETS,
    n_seeds: int = 5,
    max_iter: int = MAX_ITER,
    processes: int = 1,
) -> pd.DataFrame:
    """A row for each set and seed: what was judged, what was muted, and precision."""
    sets = find_sets("mixed", folder, [FULL_NAMES.get(name, name) for name in names])
    runs = [(each, seed, max_iter) for each in sets for seed in range(n_seeds)]
    return pd.DataFrame(gather(compare, runs, processes), columns=[*COLUMNS, "before", "after"])


def compare(run: tuple[Dataset, int, int]) -> list[tuple]:
    """Precision of the second batch of one set and seed, without and with verdicts."""
    dataset, seed, max_iter = run
    train, first, second = batches(dataset.read(), seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = TabularDetector(
            alpha=ALARM_SHARE, max_iter=max_iter, random_state=seed, progress=False
        ).fit(as_frame(train))
        rows, anomalous = _alarms(detector, first)
        rows, anomalous = rows[:N_VERDICTS], anomalous[:N_VERDICTS]
        verdicts = np.where(anomalous, CONFIRMED, FALSE_ALARM).tolist()
        judge = Judge.fit(detector, rows, verdicts, list(map(str, range(len(rows)))))
        rows, found = _alarms(detector, second)
        judged = judge.judge(rows)
    muted = (judged["muted_by"] != "").to_numpy()
    after = found[np.lexsort([-judged["priority"].to_numpy(), muted])]
    counts = int(anomalous.sum()), judge.reweighting.trees is not None, len(rows)
    muted_counts = int(muted.sum()), int((muted & found).sum())
    figures = found[:TOP_ALARMS].mean(), after[:TOP_ALARMS].mean()
    return [(dataset.name, seed, *counts, *muted_counts, *figures)]


def batches(table: Table, seed: int) -> tuple[pd.DataFrame, Table, Table]:
    """Half of the normal rows, and two batches that share the rest and the anomalies."""
    rng = np.random.default_rng(seed)
    normal = rng.permutation(np.flatnonzero(~table.anomalous))
    anomalies = rng.permutation(np.flatnonzero(table.anomalous))
    train, rest = np.split(normal, [len(normal) // 2])
    halves = zip(np.array_split(rest, 2), np.array_split(anomalies, 2), strict=True)
    parts = [np.concatenate(each) for each in halves]
    first, second = (Table(take(table.rows, part), table.anomalous[part]) for part in parts)
    return take(table.rows, train), first, second


def summary(table: pd.DataFrame) -> str:
    """One line: mean precision of each set, and of all, before and after."""
    means = table.groupby("set", sort=False)[["before", "after"]].mean()
    pairs = [(name, *row) for name, row in zip(means.index, means.to_numpy(), strict=True)]
    pairs.append(("mean", *means.mean()))
    figures = [f"{name} before {old:.3f} after {new:.3f}" for name, old, new in pairs]
    return f"feedback | precision@{TOP_ALARMS} " + " | ".join(figures)


def _alarms(detector: TabularDetector, batch: Table) -> tuple[pd.DataFrame, np.ndarray]:
    """Flagged rows of a batch and whether each is an anomaly, the most severe first."""
    rows = as_frame(batch.rows)
    scored = detector.score_frame(rows)
    worst = scored[scored["is_anomaly"]].sort_values(
        "anomaly_score", ascending=False, kind="stable"
    )
    return rows.loc[worst.index, detector.columns_], batch.anomalous[worst.index]


if __name__ == "__main__":
    main()
