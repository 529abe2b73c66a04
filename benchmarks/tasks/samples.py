"""Whether generated rows are like real ones, useful like real ones, and no copies of them.

Half of the rows of a labelled table, the label being one more column, train the detector, which
then generates as many rows as the other half has. On these real, held-out rows is measured:

- ``separator``: cross-validated AUROC of a classifier that is to tell generated from held-out
  rows; 0.5 where it cannot.
- ``auroc_generated``: AUROC of a classifier of the label that saw generated rows only, and
  ``auroc_real``, that of one that saw the training rows.
- ``closer``: share of the generated rows nearer to the nearest training row than 99 % of the
  held-out rows are; ``distance`` the median distance over that of the held-out rows, and
  ``copies`` the share of rows that are in the training rows, beside ``copies_real`` of the
  held-out rows. Distances are over standardised numbers and one-hot categories.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score

from anomdiff import TabularDetector
from benchmarks.common.methods import Params, neighbours
from benchmarks.common.processes import timed
from benchmarks.tables.reading import Table
from benchmarks.tasks import data, imputation

__all__ = ["COLUMNS", "figure", "measure", "read", "summary"]

LABEL = "is anomalous"
MAX_ROWS = 6000  # half of them train
COPY = 1e-9
COLUMNS = (
    "table n separator auroc_generated auroc_real closer distance copies copies_real seconds"
).split()

read = partial(data.read_tables, sets=imputation.SETS)


def measure(tables: Mapping[str, Table], seed: int = 0, params: Params = None) -> pd.DataFrame:
    """Fit to one half of every table, generate as many rows as the other half has, compare.

    A line per table; ``n`` rows each, ``seconds`` to generate them.
    """
    lines = []
    for name, table in tables.items():
        training, real = _halves(table, seed)
        detector = data.fitted(training, seed, params)
        generated, seconds = timed(partial(detector.sample, len(real), random_state=seed))
        rows = [detector.schema_.check(each) for each in (training, real, generated)]
        separator, *areas = _separated(*rows, seed), *_areas(*rows, seed)
        distances = _distances(detector, *rows)
        lines.append((name, len(real), separator, *areas, *distances, seconds))
    return pd.DataFrame(lines, columns=COLUMNS)


def summary(results: pd.DataFrame) -> str:
    """Say in one line how like, how useful and how near to copies the generated rows are."""
    share, separator = results["auroc_generated"] / results["auroc_real"], results["separator"]
    return (
        f"separator AUROC {separator.mean():.3f} (worst {separator.max():.3f})"
        f" | trained on generated rows {share.mean():.1%} of the AUROC on real ones "
        f"(worst {share.min():.1%}) | closer to training rows than 99 % of real ones: "
        f"{results['closer'].mean():.1%}, distance {results['distance'].mean():.2f} times theirs, "
        f"copies {results['copies'].mean():.2%} (real {results['copies_real'].mean():.2%})"
        f" | tables {len(results)}"
    )


def figure(results: pd.DataFrame) -> str:
    """Say what share of the AUROC a classifier keeps that saw generated rows only."""
    ratio = (results["auroc_generated"] / results["auroc_real"]).mean()
    return f"sample AUROC ratio {ratio:.3f}"


def _halves(table: Table, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Shuffle the rows, labelled; one half to train on, the other to compare with."""
    frame = pd.DataFrame(table.rows).rename(columns=str)
    frame[LABEL] = np.where(table.anomalous, "yes", "no")
    order = np.random.default_rng(seed).permutation(len(frame))[:MAX_ROWS]
    half = len(order) // 2
    return tuple(frame.iloc[part].reset_index(drop=True) for part in (order[:half], order[half:]))


def _separated(training, real, generated, seed: int) -> float:
    """AUROC of telling generated from real rows, over three folds."""
    rows = _coded(pd.concat([real, generated], ignore_index=True))
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    classifier = HistGradientBoostingClassifier(random_state=seed)
    is_generated = np.arange(len(rows)) >= len(real)
    return float(
        cross_val_score(classifier, rows, is_generated, cv=folds, scoring="roc_auc").mean()
    )


def _areas(training, real, generated, seed: int) -> tuple[float, float]:
    """AUROC on real rows of classifiers that saw generated rows, and training rows."""
    frames = [generated, training, real]
    rows = _coded(pd.concat(frames, ignore_index=True).drop(columns=LABEL))
    ends = np.cumsum([len(frame) for frame in frames])
    learnt = [(frame[LABEL] == "yes").to_numpy() for frame in frames]
    *parts, test = np.split(rows, ends[:-1])
    areas = []
    for part, labels in zip(parts, learnt[:2], strict=True):
        if labels.all() or not labels.any():
            areas.append(0.5)
            continue
        classifier = HistGradientBoostingClassifier(random_state=seed).fit(part, labels)
        areas.append(float(roc_auc_score(learnt[2], classifier.predict_proba(test)[:, 1])))
    return tuple(areas)


def _coded(rows: pd.DataFrame) -> np.ndarray:
    """Numbers as they are, everything else by a number per value; NaN where missing."""
    columns = []
    for name in rows:
        cells = rows[name]
        if cells.dtype.kind != "f":
            codes = pd.Series(pd.factorize(cells, sort=True)[0], dtype=float)
            cells = codes.mask(codes < 0)
        if cells.notna().any():
            columns.append(cells.to_numpy())
    return np.column_stack(columns)


def _distances(detector: TabularDetector, training, real, generated) -> tuple[float, ...]:
    """Share that is closer, ratio of the median distances, copies, and copies among real rows."""
    known, *others = (data.coords(detector.model_, rows) for rows in (training, real, generated))
    natural, drawn = map(neighbours(known), others)
    return (
        float((drawn < np.quantile(natural, 0.01)).mean()),
        float(np.median(drawn) / max(np.median(natural), COPY)),
        float((drawn < COPY).mean()),
        float((natural < COPY).mean()),
    )
