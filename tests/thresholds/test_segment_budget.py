import numpy as np
import pytest

import anomdiff
from anomdiff import TimeSeriesDetector
from anomdiff.models.judged_steps import EVIDENT
from anomdiff.thresholds.budget import segment_budget_threshold, segment_levels
from tests.models.stored import FOLDER
from tests.series import autoregression
from tests.settings import TINY_SERIES


def count(scores, judged, threshold):
    """Segments of steps above the threshold, one step after the other."""
    n = 0
    for own, can in zip(scores, judged, strict=True):
        before = False
        for score, possible in zip(own, can, strict=True):
            above = bool(possible and score > threshold)
            n += above and not before
            before = above
    return n


def drawn(seed, sizes=(40, 1, 25), decimals=1):
    rng = np.random.default_rng(seed)
    scores = [np.round(rng.normal(size=n), decimals) for n in sizes]
    return scores, [rng.random(n) < 0.8 for n in sizes]


@pytest.mark.parametrize("decimals", [0, 1, 8])
@pytest.mark.parametrize("seed", range(5))
def test_levels_are_the_lowest_thresholds_from_which_on_there_are_so_many_segments(seed, decimals):
    scores, judged = drawn(seed, decimals=decimals)
    places = np.unique(np.concatenate(scores))
    counts = np.array([count(scores, judged, each) for each in places])
    most = np.maximum.accumulate(counts[::-1])[::-1]  # at this threshold or any above

    levels = segment_levels(scores, judged)

    below = count(scores, judged, -np.inf)
    naive = [places[most <= k].min() for k in range(max(most.max(), below))]
    np.testing.assert_array_equal(levels[: most.max()], naive[: most.max()])
    assert (np.diff(levels) <= 0).all()


def test_a_segment_does_not_go_on_in_the_next_series_or_over_a_step_that_is_not_judged():
    assert len(segment_levels([[1.0, 1.0]], [[True, True]])) == 1
    assert len(segment_levels([[1.0], [1.0]], [[True], [True]])) == 2
    assert len(segment_levels([[1.0, 1.0, 1.0]], [[True, False, True]])) == 2
    assert len(segment_levels([], [])) == 0


@pytest.mark.parametrize("budget", [20, 100, 300])
def test_the_threshold_keeps_the_budget_and_none_below_it_does(budget):
    scores, judged = drawn(3, (400,), 8)
    levels = segment_levels(scores, judged)

    threshold = segment_budget_threshold(levels, 400, budget)

    affordable = budget * 400 // 1000
    assert count(scores, judged, threshold) < affordable or threshold == levels[-1]
    if affordable < len(levels):
        below = np.nextafter(threshold, -np.inf)
        assert count(scores, judged, below) == affordable


def test_a_larger_budget_has_no_higher_threshold():
    levels = segment_levels(*drawn(4, (500,), 8))
    thresholds = [segment_budget_threshold(levels, 500, each) for each in (5, 20, 50, 900)]

    assert thresholds == sorted(thresholds, reverse=True)


def test_too_few_steps_for_a_budget_flag_nothing_and_say_so():
    with pytest.warns(UserWarning, match=r"400 steps are too few .* need 1000 steps"):
        assert segment_budget_threshold([3.0, 2.0], 400, 1) == np.inf


@pytest.mark.parametrize("budget", [0, -1, np.nan, np.inf, "3", None, True])
def test_a_budget_is_a_number_above_zero(budget):
    with pytest.raises((TypeError, ValueError), match="segments_per_1000"):
        segment_budget_threshold([3.0, 2.0], 400, budget)


@pytest.fixture(scope="module")
def fitted():
    return TimeSeriesDetector(**TINY_SERIES).fit(autoregression(1500, seed=0))


def per_1000(detector, rows):
    segments = detector.segments(detector.score_frame(rows))
    return 1000 * len(segments) / len(rows)


@pytest.mark.parametrize("budget", [5, 20])
def test_a_detector_keeps_its_budget_on_the_steps_that_it_is_calibrated_on(
    fitted, budget, tmp_path
):
    rows = autoregression(1500, seed=1)
    detector = anomdiff.load(anomdiff.save(fitted, tmp_path / "model")).recalibrate(rows)

    assert detector.set_alarm_budget(budget) is detector

    assert 0.5 * budget < per_1000(detector, rows) <= budget


def test_the_levels_of_a_fit_count_the_segments_of_training_steps(fitted):
    scores, extra = fitted.model_.score_frame(
        fitted._check(autoregression(1500, seed=0)), exclude_self=True
    )

    levels = fitted.model_.segment_levels
    threshold = segment_budget_threshold(levels, len(fitted.calibration_scores_), 5)

    # The network's errors count more in the calibration than here.
    assert 0.6 * 5 <= count([scores], [extra[EVIDENT]], threshold) / 1.5 <= 1.4 * 5
    assert len(levels) <= 1.2 * extra[EVIDENT].sum()  # other steps are not flagged


def test_new_normal_steps_are_near_the_budget(fitted, tmp_path):
    detector = anomdiff.load(anomdiff.save(fitted, tmp_path / "model")).set_alarm_budget(10)

    found = np.mean([per_1000(detector, autoregression(1500, seed)) for seed in range(1, 5)])

    assert 2 < found < 25
    assert detector.alpha_ == fitted.alpha_
    assert (
        anomdiff.load(anomdiff.save(detector, tmp_path / "set")).threshold_ == detector.threshold_
    )


def test_a_stored_model_keeps_its_levels_and_one_of_an_older_version_says_what_to_do(
    fitted, tmp_path
):
    loaded = anomdiff.load(anomdiff.save(fitted, tmp_path / "model"))
    np.testing.assert_array_equal(loaded.model_.segment_levels, fitted.model_.segment_levels)

    with pytest.raises(ValueError, match="older version: fit it again, or call recalibrate"):
        anomdiff.load(FOLDER / "models" / "series_2").set_alarm_budget(5)
