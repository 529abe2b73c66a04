"""`autolog()`: from then on every fit of a detector leaves a run behind."""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import mlflow
import numpy as np
import pandas as pd

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.encoding.frames import as_pandas
from anomdiff.integrations.mlflow import runs
from anomdiff.integrations.mlflow.callbacks import LossCurve
from anomdiff.integrations.mlflow.flavor import log_model
from anomdiff.models.training_run import chain

__all__ = ["autolog"]

FITS = ("fit", "screen")  # `fit_predict` calls `screen`

logger = logging.getLogger(__name__)


def autolog(
    *, log_models: bool = True, log_input_examples: bool = False, disable: bool = False
) -> None:
    """Log a run for every ``fit``, ``screen`` and ``fit_predict`` of a detector, or stop doing so.

    As with MLflow's own autologging, runs go to the active run, or to a new one of the current
    experiment, and a store that fails costs a warning but no fit. The names of the methods and
    their signatures stay, so that cloning, pickling and scikit-learn's tools work as before.

    Parameters
    ----------
    log_models : bool, default=True
        Whether to log the fitted detector.
    log_input_examples : bool, default=False
        Whether to log the first rows with it; they become readable to whoever can read the model.
    disable : bool, default=False
        Switch it off again.
    """
    for name in FITS:
        present = getattr(DiffusionDetector, name)
        original = getattr(present, "__wrapped__", present)
        method = original if disable else _logged(original, log_models, log_input_examples)
        setattr(DiffusionDetector, name, method)


def _logged(original: Callable, log_models: bool, log_input_examples: bool) -> Callable:
    """Return a method that fits with a run around it."""

    @functools.wraps(original)
    def fit(self, X, y=None, *, on_step=None):
        if isinstance(on_step, LossCurve):  # somebody logs this fit already
            return original(self, X, y, on_step=on_step)
        with _run() as run_id:
            if run_id is None:
                return original(self, X, y, on_step=on_step)
            frame, curve = None, LossCurve(run_id)
            with _warn_only("what goes into the fit"):
                frame = _as_frame(X)
                runs.log_inputs(self, frame)
            result = original(self, X, y, on_step=chain(curve, on_step))
            with _warn_only("what was fitted"):
                curve.flush()
                runs.log_fitted(self, frame)
                mlflow.log_metrics(runs.summary(self))
                if log_models:
                    example = runs.example_rows(self, frame) if log_input_examples else None
                    log_model(self, "model", input_example=example)
        return result

    return fit


@contextmanager
def _run() -> Iterator[str | None]:
    """Use the active run, or a new one that ends with the fit; None if the store fails."""
    if (active := mlflow.active_run()) is not None:
        yield active.info.run_id
        return
    run_id, status = None, "FAILED"
    with _warn_only("the run"):
        run_id = mlflow.start_run().info.run_id
    try:
        yield run_id
        status = "FINISHED"
    finally:
        if run_id is not None:
            with _warn_only("the end of the run"):
                mlflow.end_run(status)


@contextmanager
def _warn_only(what: str) -> Iterator[None]:
    """Turn an error into a warning: each kind of store has its own errors."""
    try:
        yield
    except Exception as error:
        logger.warning("autologging leaves out %s: %s", what, error)


def _as_frame(X: object) -> pd.DataFrame:
    """Rows as the detectors name their columns where they come without names."""
    X = as_pandas(X)
    if isinstance(X, pd.DataFrame):
        return X
    if isinstance(X, pd.Series):
        return X.to_frame(X.name if X.name is not None else "value")
    array = np.asarray(X)
    return pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])])
