import pytest

from anomdiff import TimeSeriesDetector
from tests.series import waves
from tests.settings import TINY_SERIES

ALPHA = 0.05


def screened(frame, **settings):
    detector = TimeSeriesDetector(**{**TINY_SERIES, "alpha": ALPHA, **settings})
    return detector, detector.screen(frame)


@pytest.mark.parametrize("length", [12, 30, 60])
@pytest.mark.parametrize("columns", [[0], [0, 1, 2]], ids=["one", "all"])
def test_a_frozen_sensor_of_a_screened_series_is_the_first_segment(length, columns):
    frame = waves(800, seed=0)
    frame.iloc[400 : 400 + length, columns] = frame.iloc[400, columns].to_numpy()

    detector, scored = screened(frame)

    inside = scored.iloc[400 : 400 + length]
    segments = detector.segments(scored)
    first = segments.loc[segments["anomaly_score"].idxmax()]
    assert inside["is_anomaly"].all()
    assert (inside["p_value"] <= ALPHA).all()
    assert frame.index[395] <= first["start"] <= frame.index[400]
    assert set(inside["channel"]) <= set(frame.columns[columns])


@pytest.mark.parametrize("fault", ["none", "shift", "frozen", "both"])
def test_steps_are_flagged_by_score_and_p_value_alike(fault):
    frame = waves(600, seed=1)
    if fault in ("shift", "both"):
        frame.iloc[100:115, 1] += 4
    if fault in ("frozen", "both"):
        frame.iloc[400:460, 0] = frame.iloc[400, 0]

    detector, scored = screened(frame)

    flagged = scored[scored["is_anomaly"]]
    assert (flagged["anomaly_score"] > detector.threshold_).all()
    assert (flagged["p_value"] <= ALPHA).all()
    high = scored["anomaly_score"] > detector.threshold_
    assert ((scored["p_value"] <= ALPHA) == high).all()


def test_a_healthy_series_has_at_most_alpha_flagged_steps():
    _, scored = screened(waves(800, seed=2))

    assert scored["is_anomaly"].mean() <= ALPHA
