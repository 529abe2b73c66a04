import datetime
import json
import uuid
from decimal import Decimal
from enum import Enum

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import anomdiff
from anomdiff import TabularDetector, TimeSeriesDetector
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table


def test_scores_contributions_and_threshold_survive_a_round_trip_to_the_last_bit(tiny, tmp_path):
    frame = mixed_table(300, seed=1)

    loaded = anomdiff.load(anomdiff.save(tiny, tmp_path / "model"))

    pd.testing.assert_frame_equal(
        loaded.score_frame(frame), tiny.score_frame(frame), check_exact=True
    )
    pd.testing.assert_frame_equal(
        loaded.explain(frame[:3]), tiny.explain(frame[:3]), check_exact=True
    )
    pd.testing.assert_frame_equal(loaded.history_, tiny.history_, check_exact=True)
    assert loaded.get_params() == tiny.get_params()
    assert loaded.threshold_ == tiny.threshold_


def test_arrays_survive_too(tmp_path):
    rows = np.random.default_rng(0).normal(size=(100, 3))
    detector = TabularDetector(**{**TINY, "random_state": np.random.RandomState(0)}).fit(rows)

    loaded = anomdiff.load(anomdiff.save(detector, tmp_path))

    np.testing.assert_array_equal(loaded.score_samples(rows), detector.score_samples(rows))


def test_a_detector_of_series_survives_with_its_streams(tmp_path):
    steps = np.arange(300)
    frame = pd.DataFrame(
        {
            "host": np.repeat(["a", "b"], 150),
            "t": pd.date_range("2024-01-01", periods=150, freq="min").tolist() * 2,
            "load": np.sin(steps / 4) + np.random.default_rng(0).normal(0, 0.1, 300),
            "on": (steps % 50 < 40) * 1,
        }
    )
    detector = TimeSeriesDetector(series="host", time="t", **TINY_SERIES).fit(frame)

    loaded = anomdiff.load(anomdiff.save(detector, tmp_path / "model"))

    pd.testing.assert_frame_equal(
        loaded.score_frame(frame), detector.score_frame(frame), check_exact=True
    )
    pd.testing.assert_frame_equal(
        loaded.score_next(frame[:40]), detector.score_next(frame[:40]), check_exact=True
    )
    assert loaded.get_params() == detector.get_params()
    assert loaded.threshold_ == detector.threshold_


def test_parameters_that_are_no_json_values_survive(tmp_path):
    rows = pd.DataFrame({0: np.arange(100) % 7, 1: np.random.default_rng(0).normal(size=100)})
    parameters = TINY | {
        "kinds": {0: "category"},
        "width": np.int64(8),
        "checkpoint": tmp_path / "run",
    }
    parameters |= {"random_state": np.int64(3)}
    detector = TabularDetector(**parameters).fit(rows)

    loaded = anomdiff.load(anomdiff.save(detector, tmp_path / "model"))

    assert loaded.kinds == {0: "category"}
    assert (loaded.width, loaded.random_state) == (8, 3)
    assert loaded.checkpoint == tmp_path / "run"
    np.testing.assert_array_equal(loaded.score_samples(rows), detector.score_samples(rows))


@pytest.mark.parametrize(
    "lengths", [np.array([8, 16]), range(8, 17, 8), pd.Index([8, 16]), [8, 16], (8, np.int32(16))]
)
def test_lists_of_any_kind_survive(tmp_path, lengths):
    wave = np.sin(np.arange(200) / 5)[:, None]
    detector = TimeSeriesDetector(**TINY_SERIES | {"window_lengths": lengths}).fit(wave)

    loaded = anomdiff.load(anomdiff.save(detector, tmp_path))

    assert list(loaded.window_lengths) == list(lengths)
    if isinstance(lengths, list | tuple | range):
        assert loaded.window_lengths == lengths


LABELS = {
    "dates": [datetime.date(2026, 1, 1), datetime.date(2026, 1, 2)],
    "timestamps": list(pd.date_range("2026-01-01", periods=2, tz="Europe/Oslo")),
    "datetimes": [datetime.datetime(2026, 1, 1, 5), datetime.datetime(2026, 1, 2, 5)],
    "uuids": [uuid.UUID(int=1), uuid.UUID(int=2)],
    "integers of NumPy": [np.int64(1), np.int64(2)],
    "floats": [1.0, 2.5],
    "months": list(pd.period_range("2026-01", periods=2, freq="M")),
    "durations": list(pd.timedelta_range("1h", periods=2, freq="h")),
    "intervals": list(pd.interval_range(0, 2)),
    "pairs": [("pay", 1), ("pay", datetime.date(2026, 1, 2))],
    "decimals": [Decimal("1.10"), Decimal("2")],
}


def equal_scores(one, other, frame):
    pd.testing.assert_frame_equal(
        one.score_frame(frame), other.score_frame(frame), check_exact=True
    )


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_series_keep_their_labels_and_scales(tmp_path, labels):
    load = np.random.default_rng(0).normal(size=120) * np.repeat([1, 9], 60)
    ids = pd.Series([labels[0]] * 60 + [labels[1]] * 60, dtype=object)
    frame = pd.DataFrame({"id": ids, "load": load})
    detector = TimeSeriesDetector(series="id", **TINY_SERIES).fit(frame)

    loaded = anomdiff.load(anomdiff.save(detector, tmp_path))

    equal_scores(loaded, detector, frame)
    assert list(loaded.model_.scaler.scales) == [None, *labels]


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_columns_keep_their_labels(tmp_path, labels):
    values = np.random.default_rng(0).normal(size=(120, 2))
    frame = pd.DataFrame(values, columns=pd.Index(labels))
    table = TabularDetector(**TINY, alpha=0.05, kinds={labels[0]: "number"}).fit(frame)
    series = TimeSeriesDetector(**TINY_SERIES, covariates=labels[1:]).fit(frame)

    for detector in (table, series):
        loaded = anomdiff.load(anomdiff.save(detector, tmp_path))

        equal_scores(loaded, detector, frame)
        assert loaded.columns_in_ == labels
        assert loaded.get_params() == detector.get_params()


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize("label", [Colour.RED, 1j, None, np.nan, pd.NaT, frozenset({Colour.RED})])
def test_labels_that_cannot_be_stored_are_refused_before_training(label):
    values = np.random.default_rng(0).normal(size=(120, 2))
    columns = pd.Index([label, 1], dtype=object)

    for detector in (TabularDetector(**TINY), TimeSeriesDetector(**TINY_SERIES)):
        with pytest.raises(ValueError, match="need a (name|column label)"):
            detector.fit(pd.DataFrame(values, columns=columns))


def test_series_whose_labels_cannot_be_stored_are_refused_before_training():
    ids = pd.Series([Colour.RED] * 60, dtype=object)
    frame = pd.DataFrame({"id": ids, "load": np.arange(60.0)})

    with pytest.raises(ValueError, match="need a label of a series that can be stored"):
        TimeSeriesDetector(series="id", **TINY_SERIES).fit(frame)


def test_parameters_that_cannot_be_stored_are_refused_before_training():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(120, 2)), columns=["a", "b"])

    with pytest.raises(ValueError, match="need a parameter covariates that can be stored"):
        TimeSeriesDetector(**TINY_SERIES, covariates=(name for name in ["a"])).fit(frame)


def test_saving_twice_writes_the_same_bytes(tiny, tmp_path):
    one, two = anomdiff.save(tiny, tmp_path / "one"), anomdiff.save(tiny, tmp_path / "two")

    for name in ("model.json", "weights.safetensors"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_an_unfitted_detector_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        anomdiff.save(TabularDetector(), tmp_path)


def edit(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.json").unlink(), "has no model.json"),
        (lambda f: (f / "weights.safetensors").unlink(), "has no weights.safetensors"),
        (lambda f: (f / "model.json").write_text("{"), "damaged"),
        (lambda f: (f / "model.json").write_text("[]"), "JSON object"),
        (lambda f: (f / "weights.safetensors").write_bytes(b"\x80\x04pickle"), "damaged"),
        (lambda f: edit(f, format=99), "format from 1 to 3; got format 99"),
        (lambda f: edit(f, seed=-1), "checksum"),
        (lambda f: edit(f, checksum="0"), "checksum"),
    ],
)
def test_anything_else_is_a_clear_error(tiny, tmp_path, damage, message):
    folder = anomdiff.save(tiny, tmp_path / "model")
    damage(folder)

    with pytest.raises(ValueError, match=message):
        anomdiff.load(folder)
