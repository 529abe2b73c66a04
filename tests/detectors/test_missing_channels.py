"""A channel that stops reporting says nothing about the others."""

import numpy as np
import pandas as pd
import pytest

from anomdiff import TimeSeriesDetector, load, save
from anomdiff.models.window_model import WindowModel
from tests.detectors.test_stream import assert_same, stream
from tests.series import autoregression
from tests.settings import TINY

CHANNELS = ["load", "copy", "other", "error"]


def coupled(n, seed):
    """A channel, a noisy copy of it, one of its own, and one that never moves."""
    load, other = (autoregression(n, seed + i, memory=0.8)[:, 0] for i in (0, 1000))
    copy = load + np.random.default_rng(seed).normal(0, 0.3, n)
    return pd.DataFrame(np.stack([load, copy, other, 0 * load], 1), columns=CHANNELS)


@pytest.fixture(scope="module", params=[0, 1])
def fitted(request):
    """A detector, and new rows like those of training; do not change them."""
    rows = coupled(3000, seed=request.param)
    return TimeSeriesDetector(**TINY).fit(rows[:1500]), rows[1500:].reset_index(drop=True)


@pytest.mark.parametrize("lost", CHANNELS)
def test_a_channel_that_stops_reporting_raises_no_alarms_in_others(fitted, lost):
    detector, rows = fitted
    gone = rows.copy()
    gone.loc[700:, lost] = np.nan

    before, after = (detector.score_frame(each)[700:] for each in (rows, gone))

    for share in (lambda scored: scored["is_anomaly"], lambda scored: scored["p_value"] <= 0.02):
        assert share(after).mean() <= share(before).mean() + 0.02
    assert not (after["channel"] == lost)[300:].any()


@pytest.mark.parametrize("lost", ["copy", "other", "error"])
def test_a_fault_is_found_while_another_channel_is_missing(fitted, lost):
    detector, rows = fitted
    gone = rows.copy()
    gone.loc[700:, lost] = np.nan
    gone.loc[1100:1119, "load"] += 8

    scored = detector.score_frame(gone)

    assert scored["is_anomaly"][1100:1120].mean() > 0.4
    assert scored["channel"][1100:1120][scored["is_anomaly"]].mode()[0] == "load"


def test_a_stream_and_a_stored_model_score_the_same_where_a_channel_is_missing(fitted, tmp_path):
    detector, rows = fitted
    gone = rows[:900].copy()
    gone.loc[300:, "copy"] = np.nan
    gone.loc[500:600, "error"] = np.nan

    scored = detector.score_frame(gone)

    again = load(save(detector, tmp_path / "model"))
    pd.testing.assert_frame_equal(again.score_frame(gone), scored)
    assert_same(stream(again, gone, 50), scored)


def test_usual_errors_of_other_channels_are_refused(fitted):
    state = fitted[0].model_.to_dict()
    calibration = state["calibration"]
    fewer = calibration | {"channels": calibration["channels"][:, :2]}

    with pytest.raises(ValueError, match="need usual errors of shape"):
        WindowModel.from_dict(state | {"calibration": fewer})
    assert WindowModel.from_dict(state | {"calibration": calibration | {"channels": None}})
