"""Read labelled sets: which files of a folder are sets, which of their rows are anomalies.

The sets of the suite `generated` are made, and have no folder.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common.comparison import Split
from benchmarks.tables.generated import GENERATED, SPLITS, generate
from benchmarks.tables.labelled import Table

__all__ = [
    "MIXED_RULES",
    "SUFFIXES",
    "SUITES",
    "Dataset",
    "LabelRule",
    "Table",
    "find_sets",
    "plain_name",
]

SUFFIXES = {"adbench": (".npz",), "oddbench": (".npz",), "mixed": (".csv", ".csv.gz", ".data")}
SUITES = (*SUFFIXES, "generated")
RULES_FILE = "labels.json"


@dataclass(frozen=True)
class LabelRule:
    """How a raw table tells its anomalies: by their label, or by that of the normal rows.

    Columns go by position where the file has no header. ``drop`` are those that are no data:
    identifiers, or where a row was copied from. ``extra`` leaves a set out unless it is asked for.
    """

    column: str | int
    anomaly: str | None = None
    normal: str | None = None
    drop: Sequence[str | int] = ()
    header: bool = True
    extra: bool = False


MIXED_RULES = {
    "fraud_oracle": LabelRule("FraudFound_P", "1", drop=("PolicyNumber",)),
    "insurance_claims": LabelRule("fraud_reported", "Y"),
    "creditcard_ulb_merged_subset": LabelRule("Class", "1", drop=("source", "head_of_file")),
    "bands": LabelRule(39, "band", header=False),
    "anneal": LabelRule(38, normal="3", header=False),
    "ai4i2020": LabelRule("Machine failure", "1"),
    "sick": LabelRule("Class", "sick"),
    "hmeq": LabelRule("BAD", "1"),
    # Four quarters of the same loans: they show drift, four more votes would be one too many.
    **{f"hmeqpr_{q}_{q}q": LabelRule("Default", "Yes", extra=True) for q in range(1, 5)},
}


@dataclass(frozen=True)
class Dataset:
    """One set of a suite: where it lies, unless it is generated, and how it is read."""

    suite: str
    name: str
    path: Path = Path()
    rule: LabelRule | None = None

    @property
    def comes_split(self) -> bool:
        """Whether its authors fixed which rows train."""
        return self.suite == "oddbench" or (self.suite == "generated" and self.name in SPLITS)

    def read(self) -> Table | Split:
        """Read the set; it is a `Split` if it comes split."""
        if self.suite == "generated":
            return generate(self.name)
        return {"adbench": _adbench, "oddbench": _oddbench, "mixed": _mixed}[self.suite](self)


def find_sets(suite: str, folder: Path | None = None, names: Iterable[str] = ()) -> list[Dataset]:
    """List the sets of a suite, the largest first so that no long run starts last.

    The folder is that of the files, or its parent if that has a folder named like the suite;
    generated sets need none. A `labels.json` in it adds rules to `mixed`:
    ``{"name": {"column": ..., "anomaly": ...}}``. Names keep some sets only, e.g. ``45_wine`` or
    ``wine``.
    """
    if suite == "generated":
        return _named([Dataset(suite, name) for name in GENERATED], names, "the suite")
    if folder is None:
        raise ValueError(f"need --data for {suite}; got none.")
    inner = folder / suite
    folder = inner if inner.is_dir() else folder
    rules = dict(MIXED_RULES) if suite == "mixed" else {}
    if rules and (own := folder / RULES_FILE).exists():
        rules |= {name: LabelRule(**rule) for name, rule in json.loads(own.read_text()).items()}
    sets = [
        Dataset(suite, name, path, rules.get(name))
        for path in sorted(folder.glob("*"), key=lambda file: -file.stat().st_size)
        for suffix in SUFFIXES[suite]
        if (name := path.name.removesuffix(suffix)) != path.name and (not rules or name in rules)
    ]
    if not sets:
        raise ValueError(f"need {'/'.join(SUFFIXES[suite])} sets of {suite}; {folder} has none.")
    return _named(sets, names, str(folder))


def plain_name(name: str) -> str:
    """Reduce the spellings of a set's name to one: ``22_magic.gamma`` to ``magic.gamma``."""
    head, _, tail = name.lower().partition("_")
    return tail if head.isdigit() and tail else name.lower()


def _named(sets: list[Dataset], names: Iterable[str], where: str) -> list[Dataset]:
    """Keep the sets of these names, or all but the extra ones."""
    if not (wanted := {plain_name(name) for name in names}):
        return [each for each in sets if not (each.rule and each.rule.extra)]
    if unknown := wanted - {plain_name(each.name) for each in sets}:
        raise ValueError(f"need sets that are in {where}; got {sorted(unknown)}.")
    return [each for each in sets if plain_name(each.name) in wanted]


def _adbench(dataset: Dataset) -> Table:
    with np.load(dataset.path) as file:
        return Table(file["X"].astype(float), file["y"].ravel() == 1)


def _oddbench(dataset: Dataset) -> Split:
    with np.load(dataset.path) as file:
        train, test = file["train"].astype(float), file["test"].astype(float)
        return Split(train, test, file["test_labels"].ravel() == 1)


def _mixed(dataset: Dataset) -> Table:
    rule = dataset.rule
    frame = pd.read_csv(
        dataset.path, header=0 if rule.header else None, encoding="utf-8-sig", low_memory=False
    )
    label = frame[rule.column].astype(str).str.strip()
    anomalous = label == rule.anomaly if rule.normal is None else label != rule.normal
    return Table(frame.drop(columns=[rule.column, *rule.drop]), anomalous.to_numpy(dtype=bool))
