import numpy as np
import pandas as pd
import pytest

from anomdiff import TimeSeriesDetector
from anomdiff.explain.segment_kinds import CORE_SHARE, core, is_joint, segment_kind
from tests.series import waves
from tests.settings import TINY_LONG

USUAL = 0.1  # median difference of the noise below


def noise(n, seed=0):
    """Noise whose median absolute difference is the usual one."""
    return np.random.default_rng(seed).normal(size=n) * USUAL / (0.6745 * 2**0.5)


FAULTS = {
    "spike": np.eye(20)[8] * 5 + np.eye(20)[9] * 4,
    "shift": np.where((np.arange(40) > 5) & (np.arange(40) < 35), 2.0, 0.0),
    "drift": np.linspace(0, 3, 60),
    "noise": noise(40, 1) * 10,
    "shape": np.sin(np.arange(60) / 10),
}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_faults_have_the_name_of_what_they_are(kind, sign, seed):
    off = sign * FAULTS[kind] + noise(len(FAULTS[kind]), seed)

    assert segment_kind(off, off, USUAL) == kind
    assert segment_kind(off[::-1], off[::-1], USUAL) == kind


@pytest.mark.parametrize("n", [4, 40])
def test_a_value_that_stays_is_a_flatline_whatever_was_expected(n):
    expected = 3 * np.sin(np.arange(n)) + 5

    assert segment_kind(np.full(n, 1.5), 1.5 - expected, USUAL) == "flatline"


def test_a_channel_that_seldom_moves_has_no_flatline():
    assert segment_kind(np.full(20, 2.0), np.full(20, 2.0), 0.0) == "shift"


def test_the_scale_of_a_channel_changes_no_kind():
    for kind, fault in FAULTS.items():
        off = fault + noise(len(fault))

        assert segment_kind(7 * off, 7 * off, 7 * USUAL) == kind


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_segment_of_few_steps_is_a_spike(n):
    assert segment_kind(np.full(n, 4.0), np.full(n, 4.0), USUAL) == "spike"


def test_a_segment_without_an_observed_step_has_a_kind_too():
    assert segment_kind(np.empty(0), np.empty(0), USUAL) == "shape"


@pytest.mark.parametrize("seed", range(5))
def test_the_core_is_the_shortest_part_with_its_share(seed):
    off = np.random.default_rng(seed).standard_t(2, size=25)
    squares = off**2
    naive = min(
        stop - start
        for start in range(25)
        for stop in range(start + 1, 26)
        if squares[start:stop].sum() >= CORE_SHARE * squares.sum() - 1e-9
    )

    start, stop = core(off, CORE_SHARE)

    assert stop - start == naive
    assert squares[start:stop].sum() >= CORE_SHARE * squares.sum() - 1e-9


@pytest.mark.parametrize(
    ("given_others", "alone", "joint"),
    [
        (3.0, (0.5, 0.5), True),
        (3.0, (0.5, 2.0), False),
        (1.0, (0.5, 0.5), False),
        (3.0, (0.5,), False),
        (3.0, (0.5, np.nan), False),
        (np.nan, (0.5, 0.5), False),
    ],
)
def test_channels_are_joint_that_are_off_together_only(given_others, alone, joint):
    assert is_joint(np.full(10, given_others), np.tile(alone, (10, 1))) is joint


@pytest.fixture(scope="module")
def fitted():
    return TimeSeriesDetector(**TINY_LONG).fit(waves(800, seed=0))


def faulty():
    """Waves with a spike, a frozen sensor and a shift."""
    frame = waves(400, seed=1, start=800)
    frame.iloc[60, 0] += 4
    frame.iloc[150:190, 1] = frame.iloc[150, 1]
    frame.iloc[300:320, 2] += 3
    return frame


def test_a_detector_names_the_kinds_of_its_segments(fitted):
    frame = faulty()
    scored = fitted.score_frame(frame)

    segments = fitted.segments(scored, frame)

    pd.testing.assert_frame_equal(segments.drop(columns="kind"), fitted.segments(scored))
    starts, ends = (frame.index.get_indexer(segments[each]) for each in ("start", "end"))
    for first, last, kind in [(60, 60, "spike"), (150, 189, "flatline"), (300, 319, "shift")]:
        common = np.minimum(ends, last) - np.maximum(starts, first)
        assert segments["kind"][common.argmax()] == kind


def test_rows_in_another_order_and_a_gap_within_a_segment_change_no_kind(fitted):
    frame = faulty().drop(index=faulty().index[165:170])
    scored = fitted.score_frame(frame)
    mixed = frame.sample(frac=1, random_state=0)

    kinds = fitted.segments(scored, frame)["kind"]

    assert fitted.segments(scored.loc[mixed.index], mixed)["kind"].tolist() == kinds.tolist()


def test_other_rows_than_those_scored_are_refused(fitted):
    frame = faulty()
    scored = fitted.score_frame(frame)

    with pytest.raises(ValueError, match="need the rows that were scored"):
        fitted.segments(scored, frame[1:])


def test_without_alarms_no_kind_is_named(fitted):
    frame = faulty()[:40]
    scored = fitted.score_frame(frame).assign(is_anomaly=False)

    assert list(fitted.segments(scored, frame)["kind"]) == []


def test_a_plateau_whose_rise_is_little_beside_its_noise_is_a_shift():
    steps = np.arange(41)
    off = 4 + 2.6 * (steps / 40 - 0.5) + 1.9 * (-1.0) ** steps

    assert segment_kind(off, off, usual_difference=4.0) == "shift"
    calm = off - 1.9 * (-1.0) ** steps
    assert segment_kind(calm, calm, usual_difference=0.065) == "drift"


def kinds_of(detector, frame, flagged, peak):
    """Kinds of segments that are given by masks of their steps."""
    scored = detector.score_frame(frame).assign(is_anomaly=flagged)
    scored["anomaly_score"] = np.where(np.arange(len(frame)) == peak, 9.0, 5.0)
    return detector.segments(scored, frame)["kind"].tolist()


def test_of_a_segment_that_a_gap_of_time_parts_the_part_with_the_peak_counts(fitted):
    frame = waves(400, seed=1, start=800)
    frame.iloc[120:150] = frame.iloc[120].to_numpy()
    frame = frame.drop(index=frame.index[100:120])
    steps = np.arange(len(frame))

    assert kinds_of(fitted, frame, (steps >= 97) & (steps < 130), peak=110) == ["flatline"]


def test_what_is_usual_is_told_by_steps_that_are_not_flagged(fitted):
    frame, steps = waves(400, seed=1, start=800), np.arange(400)
    loud = (steps % 100 < 80) & (steps >= 100)
    frame["slow"] += loud * 10 * noise(400, 2)
    flagged = loud & (steps % 100 != 40)

    assert set(kinds_of(fitted, frame, flagged, peak=150)) == {"noise"}


def together(n, seed):
    """Two channels of the same noise, but for a little of their own."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.normal(size=(n, 1)) + 0.05 * rng.normal(size=(n, 2)))


@pytest.fixture(scope="module")
def paired():
    return TimeSeriesDetector(**TINY_LONG).fit(together(800, seed=0))


@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_channels_that_stop_to_go_together_are_joint(paired, seed):
    frame = together(300, seed=1)
    frame.loc[150:180, 1] = together(31, seed)[0].to_numpy()

    kinds = kinds_of(paired, frame, (frame.index >= 150) & (frame.index <= 180), peak=160)

    assert kinds == ["joint"]
