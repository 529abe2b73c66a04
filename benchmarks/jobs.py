"""The two jobs on raw files: `python -m benchmarks.jobs --data DIR --out results.csv`.

Each labelled file is cut, line by line and otherwise untouched, into a training file (half of the
normal rows) and a batch (the other half and all anomalies). `anomdiff.jobs.train` and
`anomdiff.jobs.score` then run on them as a user would run them; kNN and IsolationForest get the
same rows, prepared as `benchmarks.methods` says.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from anomdiff.metrics.detection import auroc, average_precision
from benchmarks.methods import METHODS
from benchmarks.protocols import shuffled
from benchmarks.suites import Dataset, find_sets

DEFAULT_SETS = "fraud_oracle,hmeq,anneal,insurance_claims"
BASELINES = ("knn1", "knn5", "iforest")


def main() -> None:
    """Run the jobs on each file and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the mixed files")
    parser.add_argument("--sets", default=DEFAULT_SETS, help="names of files, comma-separated")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    sets = find_sets("mixed", options.data, options.sets.split(","))
    runs = [(each, seed) for each in sets for seed in range(options.seeds)]
    table = pd.concat([compare(each, seed) for each, seed in tqdm(runs, unit="file")])
    table.to_csv(options.out, index=False)
    means = table.groupby(["set", "method"], sort=False)[["auroc", "ap"]].mean().mul(100)
    print(means.unstack().round(2).to_string())
    overall = means.groupby("method", sort=False).mean()
    parts = [f"{name} AUROC {row.auroc:.2f} AP {row.ap:.2f}" for name, row in overall.iterrows()]
    print(" | ".join([*parts, f"sets {len(sets)}"]))


def compare(dataset: Dataset, seed: int) -> pd.DataFrame:
    """Figures of the jobs and of the baselines on one file and seed."""
    table = dataset.read()
    split = shuffled(table, seed)
    with tempfile.TemporaryDirectory() as folder:
        figures = {"anomdiff": run_jobs(dataset, table.anomalous, seed, Path(folder))}
    for name in BASELINES:
        scores = METHODS[name](split.train, seed)(split.test)
        figures[name] = auroc(split.anomalous, scores), average_precision(split.anomalous, scores)
    rows = [(dataset.name, seed, name, *pair) for name, pair in figures.items()]
    return pd.DataFrame(rows, columns=["set", "seed", "method", "auroc", "ap"])


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
    _job("train", str(settings), "--data", training, *label, *drop, folder=folder)
    output = folder / "scored.parquet"
    _job("score", "--data", batch, "--output", output, *label, folder=folder)
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


def _job(name: str, *words: object, folder: Path) -> None:
    """Run a job in a store of its own."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    command = [sys.executable, "-m", f"pipelines.{name}", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr.strip()}")


if __name__ == "__main__":
    main()
