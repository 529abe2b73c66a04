"""The two jobs on raw files: `python -m benchmarks.systems.raw_files --data DIR --out results.csv`.

Each labelled file is cut, line by line and otherwise untouched, into a training file (half of the
normal rows) and a batch (the other half and all anomalies). `anomdiff.jobs.train` and
`anomdiff.jobs.score` then run on them as a user would run them; kNN and IsolationForest get the
same rows, prepared as `benchmarks.tables.methods` says.
"""

import argparse
import gzip
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from anomdiff.metrics.detection import auroc, average_precision
from benchmarks.common.commands import words
from benchmarks.common.processes import gather
from benchmarks.common.results import complete, write
from benchmarks.systems.files import run_job
from benchmarks.tables.methods import METHODS, TABLES, means_line
from benchmarks.tables.protocols import shuffled
from benchmarks.tables.reading import Dataset, find_sets

__all__ = ["compare", "main", "run_jobs"]

DEFAULT_SETS = "fraud_oracle,hmeq,anneal,insurance_claims"
BASELINES = ("knn1", "knn5", "iforest")


def main() -> None:
    """Run the jobs on each file and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the mixed files")
    parser.add_argument("--sets", type=words, default=DEFAULT_SETS, help="files, comma-separated")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    sets = find_sets("mixed", options.data, options.sets)
    runs = [(each, seed) for each in sets for seed in range(options.seeds)]
    table = pd.DataFrame(gather(compare, runs), columns=["set", "seed", "method", "auroc", "ap"])
    write(table, options.out)
    figures = complete(table, TABLES.measures, list(table["method"].unique()))
    print((100 * figures).round(2).to_string())
    print(means_line(figures))


def compare(run: tuple[Dataset, int]) -> list[tuple]:
    """Figures of the jobs and of the baselines on one file and seed."""
    dataset, seed = run
    table = dataset.read()
    split = shuffled(table, seed)
    with tempfile.TemporaryDirectory() as folder:
        figures = {"anomdiff": run_jobs(dataset, table.anomalous, seed, Path(folder))}
    for name in BASELINES:
        scores = METHODS[name](split.train, seed)(split.test)
        figures[name] = auroc(split.anomalous, scores), average_precision(split.anomalous, scores)
    return [(dataset.name, seed, name, *pair) for name, pair in figures.items()]


def run_jobs(
    dataset: Dataset, anomalous: np.ndarray, seed: int, folder: Path
) -> tuple[float, float]:
    """Train and score from the command line; return AUROC and average precision of the summary."""
    training, batch = cut(dataset, anomalous, seed, folder)
    rule = dataset.rule
    label = ["--label", str(rule.column)] + ([] if rule.header else ["--no-header"])
    for value in normal_values(dataset, anomalous):
        label += ["--normal", value]
    settings = folder / "train.toml"
    settings.write_text(f"[detector]\nrandom_state = {seed}\n")
    drop = [word for column in rule.drop for word in ("--drop", str(column))]
    output = folder / "scored.parquet"
    run_job("train", settings, "--data", training, *label, *drop, folder=folder)
    run_job("score", "--data", batch, "--output", output, *label, folder=folder)
    quality = json.loads((folder / "scored.summary.json").read_text())["quality"]
    return quality["auroc"], quality["average_precision"]


def cut(dataset: Dataset, anomalous: np.ndarray, seed: int, folder: Path) -> tuple[Path, Path]:
    """Write the lines of the training rows and of the batch to two files."""
    opened = gzip.open if dataset.path.suffix == ".gz" else open
    with opened(dataset.path, "rt", encoding="utf-8-sig") as file:
        lines = [line for line in file if line.strip()]
    head, lines = (lines[:1], lines[1:]) if dataset.rule.header else ([], lines)
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(~anomalous))
    half = len(normal) // 2
    parts = {
        "training.csv": normal[:half],
        "batch.csv": [*normal[half:], *np.flatnonzero(anomalous)],
    }
    for name, rows in parts.items():
        (folder / name).write_text("".join([*head, *(lines[row] for row in rows)]))
    return folder / "training.csv", folder / "batch.csv"


def normal_values(dataset: Dataset, anomalous: np.ndarray) -> list[str]:
    """Values of the label that normal rows have."""
    rule = dataset.rule
    header = 0 if rule.header else None
    raw = pd.read_csv(dataset.path, header=header, encoding="utf-8-sig", low_memory=False)
    return sorted(raw.loc[~anomalous, rule.column].astype(str).str.strip().unique())


if __name__ == "__main__":
    main()
