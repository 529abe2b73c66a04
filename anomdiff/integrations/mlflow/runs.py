"""One training run as MLflow keeps it: what went in, how it went, what came out."""

import hashlib
import json
import logging
import os
import platform
import subprocess
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from mlflow.data.dataset import Dataset
from mlflow.data.pandas_dataset import from_pandas
from mlflow.models.model import ModelInfo
from torch import Tensor

import anomdiff
from anomdiff import plots
from anomdiff.detectors.base import DiffusionDetector
from anomdiff.integrations.mlflow.callbacks import LossCurve
from anomdiff.integrations.mlflow.flavor import log_model
from anomdiff.integrations.mlflow.model_description import described
from anomdiff.integrations.mlflow.tracking_store import ensure_experiment
from anomdiff.monitoring.drift import profile
from anomdiff.selection.level_losses import level_losses

__all__ = [
    "REFERENCE",
    "Learn",
    "data_digest",
    "fit_and_log",
    "log_fitted",
    "log_inputs",
    "log_training",
    "plain_rows",
]

EXAMPLE_ROWS = 5
SAMPLED_ROWS = 500
DIGEST_TAG = "anomdiff.data_digest"
DESCRIPTION_TAG = "mlflow.note.content"  # shown at the head of a run's page
REFERENCE = "reference.json"

Learn = Callable[[DiffusionDetector, pd.DataFrame, LossCurve], object]

logger = logging.getLogger(__name__)


def log_training(
    detector: DiffusionDetector,
    frame: pd.DataFrame,
    *,
    experiment: str,
    model_name: str = "model",
    run_name: str | None = None,
    source: str | None = None,
    parameters: Mapping[str, object] | None = None,
    system_metrics: bool | None = None,
    learn: Learn | None = None,
) -> ModelInfo:
    """Fit a detector inside an MLflow run that records everything needed to understand it.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        Detector to fit, in place: if the store fails afterwards, the fit is not lost.
    frame : DataFrame
        Training rows.
    experiment : str
        Experiment of the run, made if there is none.
    model_name : str, default="model"
        Name of the logged model.
    run_name : str, optional
        By default that of the model and the date.
    source : str, optional
        Where the rows came from.
    parameters : mapping, optional
        Further parameters to log beside the detector's own.
    system_metrics : bool, optional
        Whether MLflow is to log the load of the machine; by default as
        ``mlflow.enable_system_metrics_logging`` or its variable of the environment say.
    learn : callable, optional
        Called with the detector, the frame and the hook of training steps; by default it fits.

    Returns
    -------
    info : ModelInfo
        The logged model; its `run_id` is the run.
    """
    with mlflow.start_run(
        experiment_id=ensure_experiment(experiment),
        run_name=run_name or f"{model_name} {datetime.now(UTC):%Y-%m-%d}",
        log_system_metrics=system_metrics,
    ) as run:
        dataset = log_inputs(detector, frame, source=source, parameters=parameters)
        fit_and_log(detector, frame, run.info.run_id, learn)
        log_fitted(detector, frame)
        digest = data_digest(frame)
        description = described(detector, frame, source, digest)
        mlflow.set_tag(DESCRIPTION_TAG, description)
        model = log_model(
            detector,
            model_name,
            input_example=example_rows(detector, frame),
            metadata={
                "data_digest": digest,
                "alpha": detector.alpha,
                "description": description,
            },
        )
        mlflow.log_metrics(summary(detector), model_id=model.model_id, dataset=dataset)
        return model


def log_inputs(
    detector: DiffusionDetector,
    frame: pd.DataFrame,
    *,
    source: str | None = None,
    parameters: Mapping[str, object] | None = None,
) -> Dataset:
    """Log to the active run what goes into a fit: parameters, environment, and the data's digest.

    Returns MLflow's description of the rows, now an input of the run.
    """
    digest = data_digest(frame)
    estimator = type(detector).__name__
    mlflow.set_tags({**environment(), DIGEST_TAG: digest, "anomdiff.estimator": estimator})
    mlflow.log_params(_as_text({**detector.get_params(), **(parameters or {})}))
    with warnings.catch_warnings():
        # MLflow advises doubles for integers; the model's own signature has them.
        warnings.simplefilter("ignore", UserWarning)
        dataset = from_pandas(
            frame,
            source=source,  # type: ignore[arg-type]  # None is the default
            name="training",
            digest=digest[:36],  # all that MLflow keeps
        )
        mlflow.log_input(dataset, context="training")
    return dataset


def fit_and_log(
    detector: DiffusionDetector, frame: pd.DataFrame, run_id: str, learn: Learn | None = None
) -> None:
    """Fit, or learn otherwise, log the losses while it trains and then the time it took."""
    curve = LossCurve(run_id)
    start = time.perf_counter()
    if learn is None:
        detector.fit(frame, on_step=curve)
    else:
        learn(detector, frame, curve)
    curve.flush()
    mlflow.log_metric("fit_seconds", time.perf_counter() - start)


def log_fitted(detector: DiffusionDetector, frame: pd.DataFrame) -> None:
    """Log to the active run what a detector has learnt from a frame.

    Schema, calibration, the profile that later batches are compared with, and pictures: losses,
    calibration scores, what another alpha would mean, the denoising loss at each noise level and,
    for tables, columns of training rows beside those of sampled ones.
    """
    scores, threshold = detector.calibration_scores_, float(detector.threshold_)
    mlflow.log_dict(detector.describe(), "schema.json")
    mlflow.log_dict(calibration(scores, threshold, detector.alpha), "calibration.json")
    mlflow.log_dict(profile(plain_rows(detector, frame)), REFERENCE)
    losses = level_losses(detector.model_, _reference_groups(detector))
    mlflow.log_table(losses, "levels.json")
    _log_picture("loss.png", lambda: plots.loss_figure(detector.history_))
    _log_picture("scores.png", lambda: plots.score_figure(scores, threshold, detector.alpha))
    _log_picture("calibration.png", lambda: plots.calibration_figure(scores, detector.alpha))
    _log_picture("levels.png", lambda: plots.level_figure(losses))
    if detector.unit == "row":
        _log_picture("sample.png", lambda: _sample_picture(detector))


def summary(detector: DiffusionDetector) -> dict[str, float]:
    """Metrics that say in short what a fitted detector is like; only finite ones."""
    found = {
        "threshold": float(detector.threshold_),
        "validation_loss": float(detector.history_["validation_loss"].min()),
        "n_calibration_rows": len(detector.calibration_scores_),
    }
    if detector.unit == "row":
        found["n_training_rows"] = detector.model_.n_training_rows
    return {name: value for name, value in found.items() if np.isfinite(value)}


def plain_rows(detector: DiffusionDetector, frame: pd.DataFrame) -> pd.DataFrame:
    """Columns that the score depends on, in the types in which the detector reads them.

    Of timestamps that advance with the rows only whether they are there: 0, and NaN where missing.
    """
    if detector.unit == "row":
        checked = detector.model_.schema.check(frame)
        advancing = [column.name for column in detector.schema_.used if column.advances]
        for name in advancing:
            checked[name] = np.where(checked[name].isna(), np.nan, 0.0)
        return checked
    layout = detector.model_.layout
    rows = np.concatenate([segment.values for segment in layout.read(frame)])
    return pd.DataFrame(rows, columns=list(layout.channels))


def example_rows(detector: DiffusionDetector, frame: pd.DataFrame) -> pd.DataFrame:
    """First rows of training; of series as many as the longest window has."""
    return frame.head(EXAMPLE_ROWS if detector.unit == "row" else max(detector.window_lengths_))


def calibration(scores: np.ndarray, threshold: float, alpha: float) -> dict[str, object]:
    """Describe the calibration scores by their percentiles; an infinite threshold is None."""
    shares = [percent / 100 for percent in range(101)]
    quantiles = np.quantile(scores, shares).tolist()
    low, high = plots.alarm_rates(len(scores), alpha)
    return {
        "alpha": alpha,
        "alarm_rate_range": [float(low), float(high)],
        "threshold": threshold if np.isfinite(threshold) else None,
        "n_calibration_rows": len(scores),
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


def _log_picture(name: str, draw: Callable[[], Figure]) -> None:
    """Log a picture; where one cannot be drawn, warn and let the run go on."""
    try:
        mlflow.log_figure(draw(), name)
    except Exception as error:
        logger.warning("the picture %s is left out: %s", name, error)


def _sample_picture(detector: DiffusionDetector) -> Figure:
    """Reference rows beside sampled ones, the same at every call."""
    sampled = detector.sample(SAMPLED_ROWS, random_state=detector.seed_)
    return plots.sample_figure(_reference_rows(detector), sampled)


def _reference_groups(detector: DiffusionDetector) -> dict[str, tuple[Tensor, Tensor]]:
    """Reference rows or windows as the network sees them; of tables, held-out rows apart."""
    model = detector.model_
    if detector.unit == "step":
        windows = model.reference_events()
        return {"reference windows": (windows, torch.ones_like(windows, dtype=torch.bool))}
    values, observed = model.network_events(model.schema.check(_reference_rows(detector)))
    held_out = model.reference.exclude_self
    groups = {"held-out rows": held_out, "training rows": ~held_out}
    return {name: (values[rows], observed[rows]) for name, rows in groups.items() if rows.any()}


def _reference_rows(detector: DiffusionDetector) -> pd.DataFrame:
    """Reference rows of a table, decoded."""
    return detector.model_.encoder.decode(detector.model_.reference.values.numpy())


def _as_text(parameters: Mapping[str, object]) -> dict[str, str]:
    """Parameters as MLflow shows them; nested ones as JSON, cut where MLflow would refuse."""
    nested = (dict, list, tuple)
    return {
        key: (json.dumps(value, default=str) if isinstance(value, nested) else str(value))[:6000]
        for key, value in parameters.items()
    }


def _git_commit() -> str | None:
    """Commit of the checkout this package lies in, if it lies in one."""
    command = ["git", "-C", str(Path(anomdiff.__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.check_output(
            command, stderr=subprocess.DEVNULL, text=True, timeout=5
        ).strip()
    except (OSError, subprocess.SubprocessError):
        return None
