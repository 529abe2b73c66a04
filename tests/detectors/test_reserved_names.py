"""Columns of the input that are named as those of answers are."""

import numpy as np
import pandas as pd
import pytest

import anomdiff
from anomdiff import TabularDetector, TimeSeriesDetector
from tests.settings import TINY, TINY_SERIES

SCORES = ["p_value", "anomaly_score", "is_anomaly", "channel"]
OTHERS = ["step", "draw", "row", "column", "value", "mean", "q50", "probability", "series", "time"]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.normal(size=(80, 14)), columns=[*SCORES, *OTHERS])


@pytest.fixture(scope="module")
def table(rows):
    return TabularDetector(**TINY, alpha=0.1).fit(rows)


@pytest.fixture(scope="module")
def steps(rows):
    return TimeSeriesDetector(**TINY_SERIES).fit(rows)


@pytest.fixture
def holed(rows):
    return rows[:20].mask(np.eye(20, len(rows.columns), dtype=bool))


def test_rows_get_every_answer(table, rows, holed, tmp_path):
    plain = rows.set_axis([f"c{i}" for i in range(rows.shape[1])], axis=1)
    other = TabularDetector(**TINY, alpha=0.1).fit(plain)

    scored = table.score_frame(rows)

    assert list(scored) == SCORES[1:2] + SCORES[:1] + SCORES[2:3]
    pd.testing.assert_frame_equal(scored, other.score_frame(plain))
    assert table.explain(rows[:2])["column"].isin(rows.columns).all()
    assert table.impute(holed).notna().all(axis=None)
    assert table.impute(holed, n_draws=2).xs(0, level="draw").shape == holed.shape
    assert list(table.sample(3)) == list(rows)
    assert list(anomdiff.load(anomdiff.save(table, tmp_path)).columns_in_) == list(rows)


def test_channels_get_every_answer(steps, rows, holed):
    scored = steps.score_frame(rows)

    assert scored["channel"].isin(rows.columns).all()
    assert steps.impute(holed).notna().all(axis=None)
    assert steps.explain(rows, rows=[3])["column"].isin(rows.columns).all()
    drawn = steps.sample(2)
    assert set(rows) < set(drawn)
    assert drawn["step_"].max() == len(drawn) / 2 - 1


def test_paths_keep_the_columns_of_channels(steps, rows):
    paths = steps.forecast_paths(rows, 2, n_draws=3)

    assert set(rows) < set(paths)
    assert paths["step_"].tolist() == [1, 2] * 3
    assert paths["draw_"].tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("series", OTHERS)
@pytest.mark.parametrize("time", ["step", "mean", "t"])
def test_forecasts_keep_the_columns_of_series_and_time(series, time):
    if series == time:
        return
    times = np.tile(np.arange(60), 2)
    frame = pd.DataFrame({series: np.repeat(["a", "b"], 60), time: times, "load": np.sin(times)})
    detector = _fitted(series, time, frame)

    forecast = detector.forecast(frame, 2, n_draws=4)
    risk = detector.risk(frame, {"load": (None, 0)}, 2, n_draws=4)

    for answer in (forecast, risk):
        assert answer[series].tolist() == ["a", "a", "b", "b"]
        assert answer[time].tolist() == [60, 61, 60, 61]
        assert answer["step_" if "step" in (series, time) else "step"].tolist() == [1, 2, 1, 2]


def _fitted(series, time, frame):
    return TimeSeriesDetector(**TINY_SERIES | {"max_iter": 2}, series=series, time=time).fit(frame)
