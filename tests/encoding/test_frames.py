import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.encoding.frames import as_pandas
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table

KINDS = {
    "polars": pl.from_pandas,
    "arrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "batch": lambda frame: pa.RecordBatch.from_pandas(frame, preserve_index=False),
}


class Interchanged:
    """A frame of which nothing is known but the older protocol."""

    def __init__(self, frame):
        self.frame = frame

    def __dataframe__(self, **options):
        return self.frame.__dataframe__(**options)


BY_KIND = pytest.mark.parametrize("convert", KINDS.values(), ids=KINDS)


@pytest.fixture(scope="module")
def rows():
    return mixed_table(200, seed=0).reset_index(drop=True)


@BY_KIND
def test_a_table_of_another_library_gets_the_answers_of_the_pandas_frame(convert, rows):
    detector = TabularDetector(**TINY, alpha=0.05).fit(rows)
    other = TabularDetector(**TINY, alpha=0.05).fit(convert(rows))

    for answer in ("score_frame", "score_samples", "predict", "explain", "impute", "repair"):
        found, wanted = (getattr(other, answer)(each) for each in (convert(rows[:8]), rows[:8]))
        if isinstance(wanted, pd.DataFrame):
            pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
        else:
            np.testing.assert_array_equal(found, wanted)
    pd.testing.assert_frame_equal(
        other.score_frame(rows), detector.score_frame(rows), check_exact=True
    )


@BY_KIND
def test_series_of_another_library_get_the_answers_of_the_pandas_frame(convert):
    steps = np.arange(200)
    frame = pd.DataFrame(
        {"t": pd.date_range("2026-01-01", periods=200, freq="min"), "load": np.sin(steps / 5)}
    )
    detector = TimeSeriesDetector(**TINY_SERIES, time="t").fit(convert(frame))
    whole = detector.score_frame(frame)

    pd.testing.assert_frame_equal(detector.score_frame(convert(frame)), whole)
    first = detector.score_next(convert(frame[:150]))
    pd.testing.assert_frame_equal(first, whole[: len(first)], check_dtype=False)
    assert detector.forecast(convert(frame), 3)["t"].iloc[0] > frame["t"].iloc[-1]


def test_a_column_of_another_library_is_a_series():
    load = pd.Series(np.sin(np.arange(100) / 5), name="load")
    wanted = TimeSeriesDetector(**TINY_SERIES).fit(load).score_frame(load)

    for column in (pl.Series("load", load), pa.chunked_array([load.to_numpy()])):
        found = TimeSeriesDetector(**TINY_SERIES).fit(column).score_frame(column)
        assert found["anomaly_score"].equals(wanted["anomaly_score"])


def test_cells_of_all_types_come_through():
    day, clock, span = datetime.date(2026, 1, 31), datetime.time(5, 30), datetime.timedelta(hours=2)
    table = pl.DataFrame(
        {
            "n": [1, None],
            "flag": [True, None],
            "text": ["a", None],
            "kind": pl.Series(["a", "b"], dtype=pl.Categorical),
            "day": [day, None],
            "clock": [clock, None],
            "span": [span, None],
            "amount": [Decimal("1.10"), None],
            "zoned": pl.Series([datetime.datetime(2026, 1, 31)] * 2).dt.replace_time_zone(
                "Asia/Tokyo"
            ),
        }
    )

    frame = as_pandas(table)

    first = [1, True, "a", "a", day, clock, span, Decimal("1.10")]
    assert frame.iloc[0].tolist()[:-1] == first
    assert frame["zoned"].iloc[0] == pd.Timestamp("2026-01-31", tz="Asia/Tokyo")
    assert frame.isna().iloc[1].tolist() == [True] * 3 + [False] + [True] * 4 + [False]


def test_frames_of_the_older_protocol_are_read_too():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})

    pd.testing.assert_frame_equal(as_pandas(Interchanged(frame)), frame, check_dtype=False)


@pytest.mark.parametrize("X", [[[1.0], [2.0]], np.ones((2, 2)), None, "text"])
def test_anything_else_is_not_touched(X):
    assert as_pandas(X) is X


def test_a_query_that_was_not_run_is_refused():
    with pytest.raises(TypeError, match="got a LazyFrame: call its collect"):
        TabularDetector(**TINY).fit(pl.DataFrame({"a": [1.0, 2.0]}).lazy())


@pytest.mark.parametrize("make", [TabularDetector, TimeSeriesDetector])
def test_a_detector_whose_fit_was_refused_is_not_fitted(make):
    detector = make(progress=False)
    with pytest.raises(ValueError, match="finite numbers|at least one channel"):
        detector.fit(pd.DataFrame({"a": [np.inf, 1.0]}) if make is TabularDetector else _nothing())

    assert not hasattr(detector, "n_features_in_")


def _nothing():
    return pd.DataFrame(index=range(3))


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool", "object", "M8[s]"])
def test_masked_cells_of_an_array_are_missing(dtype):
    cells = np.arange(6).reshape(3, 2).astype(dtype)
    mask = np.array([[True, False], [False, False], [False, True]])

    read = as_pandas(np.ma.MaskedArray(cells, mask))

    np.testing.assert_array_equal(pd.isna(read), mask)
    assert (read[~mask] == cells[~mask]).all()
    assert not isinstance(read, np.ma.MaskedArray)
    np.testing.assert_array_equal(as_pandas(np.ma.MaskedArray(cells)), cells)


@pytest.mark.parametrize("make", [TabularDetector, TimeSeriesDetector])
def test_a_masked_array_scores_as_one_with_missing_cells(make):
    cells = np.random.default_rng(0).normal(size=(200, 2))
    cells[::7, 0] = -9999
    missing = np.where(cells == -9999, np.nan, cells)
    settings = TINY if make is TabularDetector else TINY_SERIES

    masked = make(**settings).fit(np.ma.masked_equal(cells, -9999))
    plain = make(**settings).fit(missing)

    found = masked.score_samples(np.ma.masked_equal(cells, -9999))
    np.testing.assert_array_equal(found, plain.score_samples(missing))
