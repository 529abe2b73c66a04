"""Losses of a training run, sent to MLflow while it trains."""

import logging
import time

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric

from anomdiff.diffusion.training import TrainingState

__all__ = ["LossCurve"]

GROUP = 1000  # points that MLflow takes at once

logger = logging.getLogger(__name__)


class LossCurve:
    """Collects losses step by step and sends them in groups, to be seen while training runs.

    There are `every` steps between two points of the training loss, each the mean since the last,
    and `seconds` between two groups: one costs some 10 ms, whatever its size.
    """

    def __init__(self, run_id: str, *, every: int = 10, seconds: float = 5.0):
        self.run_id, self.every, self.seconds = run_id, every, seconds
        self._client = MlflowClient()
        self._points: list[Metric] = []
        self._losses: list[float] = []
        self._sent = time.monotonic()

    def __call__(self, state: TrainingState) -> None:
        """Collect the losses of one training step."""
        self._losses.append(state.loss)
        if state.step % self.every == 0:
            self._add("loss", float(np.mean(self._losses)), state.step)
            self._add("learning_rate", state.learning_rate, state.step)
            self._losses.clear()
        if state.validation_loss is not None:
            self._add("validation_loss", state.validation_loss, state.step)
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
