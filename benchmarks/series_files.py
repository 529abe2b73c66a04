"""Read labelled series: which files of a folder are series, what trains and what is scored."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

NAME = re.compile(r"\d+_(?P<family>[^_]+)_.*tr_(?P<n_train>\d+)_1st_\d+\.csv")
SKAB_PREFIX = 400  # rows, of which SKAB's own protocol fits on each run
SKAB_CLEAN = "anomaly-free"


class Series(NamedTuple):
    """A series to fit on and a series to score.

    Attributes
    ----------
    train, whole : ndarray of shape (row, channel)
        In TSB-AD, `train` is the first part of `whole`.
    anomalous : bool ndarray of shape (row of whole,)
        True within an anomaly.
    """

    train: np.ndarray
    whole: np.ndarray
    anomalous: np.ndarray


class Source(Protocol):
    """A labelled series that has a name and a family, and is read where it is needed."""

    @property
    def name(self) -> str:
        """What tells it from the others of a results file."""

    @property
    def family(self) -> str:
        """What it is averaged with."""

    def read(self) -> Series:
        """Read or generate it."""


@dataclass(frozen=True)
class TsbFile:
    """A file of TSB-AD, whose name tells its family and the length of the training prefix."""

    path: Path

    @property
    def name(self) -> str:
        """File name without ``.gz``, as in the published tables."""
        return self.path.name.removesuffix(".gz")

    @property
    def family(self) -> str:
        """Second part of the name, e.g. ``NAB``."""
        return NAME.fullmatch(self.name)["family"]

    def read(self) -> Series:
        """Read the channels and the label, which is the last column; as TSB-AD, without NaN."""
        rows = pd.read_csv(self.path).dropna().to_numpy(dtype=float)
        n_train = int(NAME.fullmatch(self.name)["n_train"])
        return Series(rows[:n_train, :-1], rows[:, :-1], rows[:, -1] == 1)


@dataclass(frozen=True)
class SkabRun:
    """A run of the SKAB test bench.

    Parameters
    ----------
    path : Path
        Its file.
    train : {"first", "anomaly-free"}
        What is fitted on: the first 400 rows of the run, or the run without anomalies, which
        was recorded a month earlier at another operating point.
    """

    path: Path
    train: str = "first"

    @property
    def name(self) -> str:
        """Folder and file, e.g. ``valve1/0``."""
        return f"{self.family}/{self.path.stem}"

    @property
    def family(self) -> str:
        """Folder."""
        return self.path.parent.name

    def read(self) -> Series:
        """Read the run and what is fitted on."""
        frame = pd.read_csv(self.path, sep=";", index_col=0)
        sensors = frame.columns.drop(["anomaly", "changepoint"], errors="ignore")
        whole = frame[sensors].to_numpy(dtype=float)
        if self.train == "first":
            return Series(whole[:SKAB_PREFIX], whole, frame["anomaly"].to_numpy() == 1)
        clean = pd.concat(
            pd.read_csv(file, sep=";", index_col=0)
            for file in sorted((self.path.parents[1] / SKAB_CLEAN).glob("*.csv"))
        )
        return Series(clean[sensors].to_numpy(float), whole, frame["anomaly"].to_numpy() == 1)


@dataclass(frozen=True)
class AsdServer:
    """A server of the ASD panel: an npz file with ``NAME_train``, ``_test``, ``_test_label``."""

    path: Path
    name: str
    family: str = "asd"

    def read(self) -> Series:
        """Read the server's metrics."""
        with np.load(self.path) as file:
            train, whole = (file[f"{self.name}_{part}"].astype(float) for part in ("train", "test"))
            return Series(train, whole, file[f"{self.name}_test_label"].ravel() == 1)


def find_tsb(folder: Path, parts: Sequence[str] = (), most: int | None = None) -> list[TsbFile]:
    """List the files of TSB-AD in a folder, the largest first so that no long run starts last.

    Parameters
    ----------
    folder : Path
        Holds files such as ``001_NAB_id_1_Facility_tr_1007_1st_2014.csv``, gzipped or not.
    parts : sequence of str
        Keep the files whose name contains one of these; all if empty.
    most : int, optional
        Keep this many, spread evenly over the sorted names.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    files = {file.name: file for file in map(TsbFile, sorted(folder.glob("*.csv*")))}
    names = [
        name
        for name in sorted(files)
        if NAME.fullmatch(name) and (not parts or any(part in name for part in parts))
    ]
    if not names:
        wanted = f" with {' or '.join(parts)} in the name" if parts else ""
        raise ValueError(f"need files NNN_FAMILY_..._tr_N_1st_M.csv{wanted}; {folder} has none.")
    if most is not None and most < len(names):
        names = [names[i * len(names) // most] for i in range(most)]
    return sorted((files[name] for name in names), key=lambda file: -file.path.stat().st_size)


def find_skab(folder: Path, train: str = "first") -> list[SkabRun]:
    """List the runs of SKAB with anomalies; parameters as in `SkabRun`."""
    paths = [path for path in sorted(folder.glob("*/*.csv")) if path.parent.name != SKAB_CLEAN]
    if not paths:
        raise ValueError(f"need runs such as valve1/0.csv; {folder} has none.")
    return [SkabRun(path, train) for path in paths]


def find_asd(path: Path) -> list[AsdServer]:
    """List the servers of a panel, given its npz file or the folder in which it is the only one."""
    files = [path] if path.is_file() else sorted(path.glob("*.npz"))
    if len(files) != 1:
        raise ValueError(f"need one npz file; {path} has {len(files)}.")
    with np.load(files[0]) as file:
        names = [name.removesuffix("_train") for name in file.files if name.endswith("_train")]
    return [AsdServer(files[0], name) for name in sorted(names)]
