"""One training run as MLflow keeps it: what went in, how it went, what came out."""

import hashlib
import json
import logging
import os
import platform
import subprocess
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.models.model import ModelInfo

import anomdiff
from anomdiff.detectors.tabular import TabularDetector
from anomdiff.mlops.figures import calibration_figure, loss_figure
from anomdiff.mlops.flavor import log_model
from anomdiff.mlops.store import ensure_experiment

EXAMPLE_ROWS = 5
GROUP = 1000  # points that MLflow takes at once
DIGEST_TAG = "anomdiff.data_digest"

logger = logging.getLogger(__name__)


def log_training(
    detector: TabularDetector,
    frame: pd.DataFrame,
    *,
    experiment: str,
    model_name: str = "model",
    run_name: str | None = None,
    source: str | None = None,
    parameters: Mapping[str, object] | None = None,
) -> ModelInfo:
    """Fit a detector inside an MLflow run that records everything needed to understand it.

    Parameters
    ----------
    detector : TabularDetector
        Detector to fit, in place: if the store fails afterwards, the fit is not lost.
    frame : DataFrame
        Training rows.
    experiment : str
        Experiment of the run, made if there is none.
    model_name : str, default="model"
        Name of the logged model.
    run_name : str, optional
        By default MLflow invents one.
    source : str, optional
        Where the rows came from.
    parameters : mapping, optional
        Further parameters to log beside the detector's own.

    Returns
    -------
    info : ModelInfo
        The logged model; its `run_id` is the run.
    """
    digest = data_digest(frame)
    with mlflow.start_run(experiment_id=ensure_experiment(experiment), run_name=run_name) as run:
        mlflow.set_tags({**environment(), DIGEST_TAG: digest})
        mlflow.log_params(_as_text({**detector.get_params(), **(parameters or {})}))
        _log_data(frame, source, digest)
        _fit(detector, frame, LossCurve(run.info.run_id))
        log_fitted(detector)
        return log_model(
            detector,
            model_name,
            input_example=frame.head(EXAMPLE_ROWS),
            metadata={"data_digest": digest, "alpha": detector.alpha},
        )


def log_fitted(detector: TabularDetector) -> None:
    """Log what a fitted detector has learnt to the active run: schema, calibration, pictures."""
    scores, threshold = detector.calibration_scores_, float(detector.threshold_)
    mlflow.log_dict(detector.schema_.to_dict(), "schema.json")
    mlflow.log_dict(calibration(scores, threshold, detector.alpha), "calibration.json")
    mlflow.log_figure(calibration_figure(scores, threshold, detector.alpha), "calibration.png")
    mlflow.log_figure(loss_figure(detector.history_), "loss.png")
    mlflow.log_metrics(
        {"n_training_rows": detector.n_training_rows_, "n_held_out_rows": len(scores)}
    )
    if np.isfinite(threshold):
        mlflow.log_metric("threshold", threshold)


def calibration(scores: np.ndarray, threshold: float, alpha: float) -> dict[str, object]:
    """Describe the held-out scores by their hundredths; JSON has no infinity, so that is None."""
    shares = [percent / 100 for percent in range(101)]
    quantiles = np.quantile(scores, shares).tolist()
    return {
        "alpha": alpha,
        "threshold": threshold if np.isfinite(threshold) else None,
        "n_held_out_rows": len(scores),
        "smallest_p_value": 1 / (1 + len(scores)),
        "quantiles": {f"{share:.2f}": q for share, q in zip(shares, quantiles, strict=True)},
    }


def data_digest(frame: pd.DataFrame) -> str:
    """SHA-256 of all rows, in their order, and of the column names and dtypes.

    MLflow's own digest reads the first 10,000 rows only.
    """
    digest = hashlib.sha256(repr([(str(n), str(t)) for n, t in frame.dtypes.items()]).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def environment() -> dict[str, str]:
    """Versions, machine and code that a run depends on."""
    found = {
        "anomdiff.version": anomdiff.__version__,
        "anomdiff.python": platform.python_version(),
        "anomdiff.torch": torch.__version__,
        "anomdiff.platform": platform.platform(),
        "anomdiff.cpu_count": str(os.cpu_count()),
        "anomdiff.torch_threads": str(torch.get_num_threads()),
    }
    commit = _git_commit()
    return {**found, "anomdiff.git_commit": commit} if commit else found


class LossCurve:
    """Collect losses step by step and send them in groups, so that one sees them meanwhile.

    Parameters
    ----------
    run_id : str
        Run to log to.
    every : int, default=10
        Steps between two points of the training loss; each is the mean since the last.
    seconds : float, default=5.0
        Time between two groups: one group costs some 10 ms, whatever its size.
    """

    def __init__(self, run_id: str, *, every: int = 10, seconds: float = 5.0):
        self.run_id, self.every, self.seconds = run_id, every, seconds
        self._client = MlflowClient()
        self._points: list[Metric] = []
        self._losses: list[float] = []
        self._sent = time.monotonic()

    def __call__(self, record) -> None:
        """Take note of one step: `record` has step, loss, held_out_loss and learning_rate."""
        self._losses.append(record.loss)
        if record.step % self.every == 0:
            self._add("loss", float(np.mean(self._losses)), record.step)
            self._add("learning_rate", record.learning_rate, record.step)
            self._losses.clear()
        if record.held_out_loss is not None:
            self._add("held_out_loss", record.held_out_loss, record.step)
        if time.monotonic() - self._sent > self.seconds:
            self.flush()

    def flush(self) -> None:
        """Send what has not been sent yet; a store that is away for a while costs no training."""
        try:
            while self._points:
                self._client.log_batch(self.run_id, metrics=self._points[:GROUP])
                del self._points[:GROUP]
        except Exception as error:  # each kind of store has its own errors
            logger.warning("the losses cannot be logged now and are kept for later: %s", error)
            self.seconds *= 2
        self._sent = time.monotonic()

    def _add(self, key: str, value: float, step: int) -> None:
        self._points.append(Metric(key, value, int(time.time() * 1000), step))


def _fit(detector: TabularDetector, frame: pd.DataFrame, curve: LossCurve) -> None:
    start = time.perf_counter()
    detector.fit(frame, on_step=curve)
    curve.flush()
    mlflow.log_metric("fit_seconds", time.perf_counter() - start)


def _log_data(frame: pd.DataFrame, source: str | None, digest: str) -> None:
    with warnings.catch_warnings():
        # MLflow advises doubles for integers; the model's own signature has them.
        warnings.simplefilter("ignore", UserWarning)
        # MLflow keeps 36 characters of a digest.
        dataset = mlflow.data.from_pandas(frame, source=source, name="training", digest=digest[:36])
        mlflow.log_input(dataset, context="training")


def _as_text(parameters: Mapping[str, object]) -> dict[str, str]:
    """Parameters as MLflow shows them; nested ones as JSON, cut where MLflow would refuse."""
    nested = (dict, list, tuple)
    return {
        key: (json.dumps(value, default=str) if isinstance(value, nested) else str(value))[:6000]
        for key, value in parameters.items()
    }


def _git_commit() -> str | None:
    """Commit of the checkout this package lies in, if it lies in one."""
    folder = Path(anomdiff.__file__).parent
    try:
        command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=5
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
