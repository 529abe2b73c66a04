"""Scores of the batches that a run has finished, for the run that goes on after it has died."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from anomdiff.jobs.runs.commit import PART
from anomdiff.models.segmented_model import SegmentedModel

__all__ = ["BatchCache", "InputDigest"]


class InputDigest:
    """Digest of all rows that a model reads, in their order, whatever the batches are."""

    def __init__(self) -> None:
        self._all = hashlib.sha256()

    def add(self, rows: pd.DataFrame) -> str:
        """Take in a batch; the digest of the batch itself is returned."""
        values = pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes()
        self._all.update(values)
        kinds = ", ".join(f"{name!r}: {kind}" for name, kind in rows.dtypes.items())
        return hashlib.sha256(kinds.encode() + values).hexdigest()

    def hexdigest(self) -> str:
        """Digest of the rows so far."""
        return self._all.hexdigest()


class BatchCache:
    """Scores batches, unless a run that has died has scored the same rows by the same model.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        The model.
    folder : Path
        Where scores are kept until ``clear``.

    Attributes
    ----------
    input : InputDigest
        Digest of the rows that were scored.
    n_restored : int
        Batches whose scores were there.
    """

    def __init__(self, detector: Any, folder: Path):
        self.detector, self.folder = detector, folder
        self.input, self.n_restored = InputDigest(), 0
        self._model = _fingerprint(detector)
        self._last: tuple[Path, pd.DataFrame] | None = None

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Scores of a batch as ``score_frame`` gives them.

        They are written when the next batch comes: a single batch is not kept.
        """
        digest = self.input.add(rows)
        path = self.folder / hashlib.sha256(f"{self._model} {digest}".encode()).hexdigest()
        if self._last is not None:
            _write(*self._last)
            self._last = None
        found = _read(path, rows)
        if found is not None:
            self.n_restored += 1
            return found
        scored = self.detector.score_frame(rows)
        self._last = path, scored
        return scored

    def clear(self) -> None:
        """Remove what is kept."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _fingerprint(detector: Any) -> str:
    """Digest that no other fitted model has: that of its calibration scores and threshold."""
    model = getattr(detector, "model_", None)
    models = (
        [model.shared, *model.own.values()] if isinstance(model, SegmentedModel) else [detector]
    )
    scores = np.concatenate([_calibration(each) for each in models])
    told = f"{float(detector.alpha)!r} {float(detector.threshold_)!r} "
    return hashlib.sha256(told.encode() + scores.tobytes()).hexdigest()


def _calibration(fitted: Any) -> np.ndarray:
    """Calibration scores of a detector, or of a model."""
    scores = getattr(fitted, "calibration_scores", getattr(fitted, "calibration_scores_", ()))
    return np.asarray(scores, dtype=float)


def _read(path: Path, rows: pd.DataFrame) -> pd.DataFrame | None:
    """Scores that are kept; None if there are none, or they were cut off."""
    try:
        found = pd.read_parquet(path)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    if len(found) != len(rows):
        return None
    return found.set_axis(rows.index)


def _write(path: Path, scored: pd.DataFrame) -> None:
    """Keep scores; those of a kind that cannot be kept are scored again after a restart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(PART)
    try:
        scored.reset_index(drop=True).to_parquet(part)
    except (pa.ArrowException, TypeError, ValueError):
        part.unlink(missing_ok=True)
        return
    part.replace(path)
