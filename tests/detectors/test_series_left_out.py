"""What is left out of series: known incidents, and columns that count for nothing."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from anomdiff import TimeSeriesDetector, load, save
from tests.series import panel, waves
from tests.settings import TINY_SERIES

KEYS = {"series": "host", "time": "time"}


def test_known_incidents_are_neither_learned_nor_calibrated_on(tmp_path):
    clean = waves(400, seed=0)
    broken = clean.copy()
    broken.iloc[200:240] += 30
    interval = (broken.index[200], broken.index[239])
    settings = {**TINY_SERIES, "exclude": [interval]}

    detector = TimeSeriesDetector(**settings).fit(broken)

    wanted = TimeSeriesDetector(**settings).fit(clean)
    assert detector.threshold_ == wanted.threshold_
    np.testing.assert_array_equal(detector.calibration_scores_, wanted.calibration_scores_)
    assert len(detector.calibration_scores_) == 360
    assert detector.score_frame(broken)["is_anomaly"][200:240].any()
    again = load(save(detector, tmp_path / "model"))
    assert [tuple(each)[:2] for each in again.exclude] == [interval]


def test_incidents_may_stand_in_a_frame_that_is_stored_as_a_list(tmp_path):
    table = pd.DataFrame({"start": ["2025-01-01 01:00"], "end": ["2025-01-01 01:30"], "host": "b"})
    detector = TimeSeriesDetector(**KEYS, **TINY_SERIES, exclude=table)

    detector.fit(panel(200, seed=0))

    assert len(detector.calibration_scores_) == 400 - 31
    again = load(save(detector, tmp_path / "model"))
    assert again.exclude == [("2025-01-01 01:00", "2025-01-01 01:30", "b")]
    assert clone(again).fit(panel(200, seed=0)).threshold_ == detector.threshold_


def test_screening_leaves_known_incidents_without_a_score():
    frame = waves(400, seed=0)
    frame.iloc[100:120] += 30
    frame.iloc[300:303, 0] += 3
    exclude = [(frame.index[100], frame.index[119])]

    scored = TimeSeriesDetector(**TINY_SERIES, alpha=0.02, exclude=exclude).screen(frame)

    assert np.flatnonzero(scored["anomaly_score"].isna()).tolist() == list(range(100, 120))
    assert scored["anomaly_score"].argmax() in range(296, 307)


def test_an_incident_outside_of_training_is_told():
    with pytest.warns(UserWarning, match="of exclude holds no training row"):
        TimeSeriesDetector(**TINY_SERIES, exclude=[("2020-01-01", "2020-01-02")]).fit(
            waves(200, seed=0)
        )


def test_columns_that_are_no_numbers_are_named_with_the_parameter_that_drops_them():
    frame = waves(200, seed=0).assign(note="ok", by=["ann", "bo"] * 100)
    sentence = r"columns \['note', 'by'\], such as 'ok' in column 'note'.*set drop=\['note', 'by'\]"

    with pytest.raises(ValueError, match=sentence) as told:
        TimeSeriesDetector(**TINY_SERIES).fit(frame)

    assert "\n" not in str(told.value)


def test_dropped_columns_count_for_nothing_and_are_not_told(tmp_path, recwarn):
    def noted(n, seed):
        return waves(n, seed=seed).assign(note="ok", extra=np.arange(n))

    plain = TimeSeriesDetector(**TINY_SERIES).fit(waves(200, seed=0))
    detector = TimeSeriesDetector(**TINY_SERIES, drop=["note", "extra"]).fit(noted(200, 0))

    again = load(save(detector, tmp_path / "model"))

    wanted = plain.score_frame(waves(60, seed=1))
    pd.testing.assert_frame_equal(again.score_frame(noted(60, 1)), wanted)
    pd.testing.assert_frame_equal(again.score_frame(waves(60, seed=1)), wanted)
    np.testing.assert_array_equal(-again.score_samples(noted(60, 1)), wanted["anomaly_score"])
    assert again.repair(noted(60, 1))["note"].eq("ok").all()
    assert not [each for each in recwarn if "ignored" in str(each.message)]


def test_columns_of_an_array_are_dropped_by_their_numbers():
    values = waves(200, seed=0).to_numpy()

    detector = TimeSeriesDetector(**TINY_SERIES, drop=["x1"]).fit(values)

    assert detector.layout_.channels == ("x0", "x2")
    assert detector.predict(values).shape == (200,)


@pytest.mark.parametrize(
    ("settings", "beside"),
    [
        ({"drop": ["slow", "echo", "fast"]}, r"\['host', 'time', 'slow', 'echo', 'fast'\], the"),
        ({"drop": ["echo", "slow", "fast"]}, r"\['host', 'time', 'echo', 'slow', 'fast'\], the"),
    ],
)
def test_a_frame_without_a_channel_is_told_with_what_is_none(settings, beside):
    with pytest.raises(ValueError, match=beside):
        TimeSeriesDetector(**KEYS, **TINY_SERIES, **settings).fit(panel(50, seed=0))


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("duplicate_times", "median"),
        ("duplicate_times", None),
        ("drop", "note"),
        ("drop", None),
        ("drop", ["pump"]),
        ("drop", ["slow", "echo", "fast"]),
        ("exclude", "2025-01-01"),
        ("exclude", [("2025-01-01",)]),
        ("exclude", [("2025-01-02", "2025-01-01")]),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused(parameter, value):
    with pytest.raises((TypeError, ValueError), match=f"{parameter}|one channel"):
        TimeSeriesDetector(**{**TINY_SERIES, parameter: value}).fit(waves(100, seed=0))
