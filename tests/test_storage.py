import json

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
    assert loaded.checkpoint == str(tmp_path / "run")
    np.testing.assert_array_equal(loaded.score_samples(rows), detector.score_samples(rows))


@pytest.mark.parametrize("lengths", [np.array([8, 16]), range(8, 17, 8), pd.Index([8, 16])])
def test_lists_of_any_kind_survive(tmp_path, lengths):
    wave = np.sin(np.arange(200) / 5)[:, None]
    detector = TimeSeriesDetector(**TINY_SERIES | {"window_lengths": lengths}).fit(wave)

    loaded = anomdiff.load(anomdiff.save(detector, tmp_path))

    assert loaded.window_lengths == (8, 16)


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
