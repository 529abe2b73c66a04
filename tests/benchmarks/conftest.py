"""A detector of series that needs no training."""

import numpy as np
import pandas as pd
import pytest


class Fake:
    """Scores a row by its distance from the training mean; no window, so a stream is exact."""

    def __init__(self, *, random_state=None, progress=True, series=None, time=None, offset=0):
        self.names, self.offset = [series, time], offset

    def fit(self, X):
        self.mean_ = self._values(X).mean(axis=0)
        return self

    def score_frame(self, X):
        score = np.abs(self._values(X) - self.mean_).mean(axis=1) + self.offset
        return pd.DataFrame({"anomaly_score": score}, index=getattr(X, "index", None))

    score_next = score_frame

    def finish(self):
        return pd.DataFrame({"anomaly_score": []})

    def screen(self, X):
        return self.fit(X).score_frame(X)

    def _values(self, X):
        return np.asarray(pd.DataFrame(X).drop(columns=self.names, errors="ignore"), dtype=float)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr("benchmarks.series.methods.TimeSeriesDetector", Fake)
