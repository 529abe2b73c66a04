"""Read labelled series: which files of a folder are series, what trains and what is scored."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common.comparison import Source, Split

__all__ = ["SKAB_TRAIN", "find_asd", "find_skab", "find_tsb", "series", "spread"]

NAME = re.compile(r"\d+_(?P<family>[^_]+)_.*tr_(?P<n_train>\d+)_1st_\d+\.csv")
SKAB_TRAIN = "first", "anomaly-free"
SKAB_PREFIX = 400  # rows, of which SKAB's own protocol fits on each run


def series(name: str, family: str, read: Callable[[], Split]) -> Source:
    """A series, and what it is averaged with.

    What is fitted on and what is scored are of shape (row, channel); in TSB-AD the first is the
    beginning of the second.
    """
    return Source({"file": name, "family": family}, read)


def find_tsb(folder: Path, parts: Sequence[str] = (), most: int | None = None) -> list[Source]:
    """List the files of TSB-AD in a folder, the largest first so that no long run starts last.

    Their names, e.g. ``001_NAB_id_1_Facility_tr_1007_1st_2014.csv``, tell the family and the length
    of the training prefix; they may be gzipped. Keep those with one of some parts in the name, and
    so many at most, spread evenly over the sorted names.
    """
    files = {path.name.removesuffix(".gz"): path for path in sorted(folder.glob("*.csv*"))}
    names = [
        name
        for name in sorted(files)
        if NAME.fullmatch(name) and (not parts or any(part in name for part in parts))
    ]
    if not names:
        wanted = f" with {' or '.join(parts)} in the name" if parts else ""
        raise ValueError(f"need files NNN_FAMILY_..._tr_N_1st_M.csv{wanted}; {folder} has none.")
    names = spread(names, most)
    names.sort(key=lambda name: -files[name].stat().st_size)
    found = [(NAME.fullmatch(name), files[name]) for name in names]
    return [series(m[0], m["family"], partial(_tsb, path, int(m["n_train"]))) for m, path in found]


def spread(items: list, most: int | None) -> list:
    """Keep so many at most, spread evenly over the list."""
    if most is None or most >= len(items):
        return items
    return [items[i * len(items) // most] for i in range(most)]


def find_skab(folder: Path, train: str = "first") -> list[Source]:
    """List the runs of SKAB with anomalies, named by folder and file, e.g. ``valve1/0``.

    Fitted on are the first 400 rows of the run, or the run without anomalies, which was recorded a
    month earlier at another operating point.
    """
    clean = sorted((folder / "anomaly-free").glob("*.csv"))
    paths = [path for path in sorted(folder.glob("*/*.csv")) if path not in clean]
    if not paths:
        raise ValueError(f"need runs such as valve1/0.csv; {folder} has none.")
    clean = clean if train == "anomaly-free" else []
    return [
        series(f"{path.parent.name}/{path.stem}", path.parent.name, partial(_skab, path, clean))
        for path in paths
    ]


def find_asd(path: Path) -> list[Source]:
    """List the servers of a panel, given its npz file or the folder in which it is the only one.

    The file has ``NAME_train``, ``NAME_test`` and ``NAME_test_label`` of each server.
    """
    files = [path] if path.is_file() else sorted(path.glob("*.npz"))
    if len(files) != 1:
        raise ValueError(f"need one npz file; {path} has {len(files)}.")
    with np.load(files[0]) as file:
        names = [name.removesuffix("_train") for name in file.files if name.endswith("_train")]
    return [series(name, "asd", partial(_asd, files[0], name)) for name in sorted(names)]


def _tsb(path: Path, n_train: int) -> Split:
    """Read the channels and the label, which is the last column; as TSB-AD, without NaN."""
    rows = pd.read_csv(path).dropna().to_numpy(dtype=float)
    return Split(rows[:n_train, :-1], rows[:, :-1], rows[:, -1] == 1)


def _skab(path: Path, clean: Sequence[Path]) -> Split:
    frame, *others = (pd.read_csv(file, sep=";", index_col=0) for file in (path, *clean))
    sensors = frame.columns.drop(["anomaly", "changepoint"])
    whole = frame[sensors].to_numpy(dtype=float)
    train = pd.concat(others)[sensors].to_numpy(dtype=float) if others else whole[:SKAB_PREFIX]
    return Split(train, whole, frame["anomaly"].to_numpy() == 1)


def _asd(path: Path, name: str) -> Split:
    with np.load(path) as file:
        train, whole = (file[f"{name}_{part}"].astype(float) for part in ("train", "test"))
        return Split(train, whole, file[f"{name}_test_label"].ravel() == 1)
