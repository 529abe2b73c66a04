import json

import numpy as np
import pytest

from anomdiff.encoding.calendar_features import DAY, HOUR, Calendar
from anomdiff.encoding.expected_values import (
    ConditionedSteps,
    ExpectedValues,
    condition_features,
    fold_numbers,
)
from anomdiff.encoding.ridge import FOLDS, NormalEquations, chosen_penalty

WEEK = Calendar(("hour", "weekday"))


def steps(n, seed, series=None, level=0.0, noise=0.1):
    """Hours whose value is that of the hour of the day, and falls with a covariate below 0."""
    rng = np.random.default_rng(seed)
    covariate, hours = rng.normal(size=(n, 1)), np.arange(n)
    pattern = np.sin(hours % 24 / 24 * 2 * np.pi) - np.minimum(covariate[:, 0], 0)
    scored = pattern + level + noise * rng.normal(size=n)
    return ConditionedSteps(series, scored[:, None], covariate, hours * HOUR)


def folded(n, n_features, gaps):
    rng = np.random.default_rng(0)
    features, channels = rng.normal(size=(n, n_features)), rng.normal(size=(n, 2))
    channels[rng.random((n, 2)) < gaps] = np.nan
    return features, channels, np.arange(n) % FOLDS


@pytest.mark.parametrize("gaps", [0.0, 0.2])
@pytest.mark.parametrize("without", [None, 3])
@pytest.mark.parametrize("drawn", [False, True])
def test_ridge_weights_are_those_of_the_rows_themselves(gaps, without, drawn):
    features, channels, folds = folded(200, 4, gaps)
    rows = [(features[:90], channels[:90], folds[:90]), (features[90:], channels[90:], folds[90:])]
    prior = np.full((2, 4), 0.3) if drawn else None

    found = NormalEquations.sum(rows, 2, gaps == 0).solve(7.0, without, prior)

    for j, own in enumerate(found):
        kept = ~np.isnan(channels[:, j]) & (folds != (-1 if without is None else without))
        x, start = features[kept], np.zeros(4) if prior is None else prior[j]
        residual = channels[kept, j] - x @ start
        expected = start + np.linalg.solve(x.T @ x + 7 * np.eye(4), x.T @ residual)
        np.testing.assert_allclose(own, expected)


def test_the_penalty_is_the_one_that_does_best_on_rows_left_out():
    features, channels, folds = folded(60, 30, 0.0)  # nothing to be learned
    equations = NormalEquations.sum([(features, channels, folds)], 2, True)
    exact = features @ np.ones((30, 2))
    learned = NormalEquations.sum([(features, exact, folds)], 2, True)

    penalties = [
        chosen_penalty([(features, y, folds)], e)
        for y, e in ((channels, equations), (exact, learned))
    ]

    assert penalties == [100.0, 1.0]


def test_what_is_expected_of_new_steps_is_the_pattern():
    expected, _ = ExpectedValues.fit(WEEK, [steps(24 * 7 * 12, seed=0)])
    new = steps(24 * 7, seed=1, noise=0.0)

    mean, spread = expected.scale(new)

    assert np.abs(mean - new.scored).mean() < 0.06
    assert 0.05 < np.median(spread) < 0.2


def test_what_is_left_over_in_training_is_as_large_as_on_new_steps():
    training = steps(24 * 7 * 4, seed=0)  # few weeks: their own values would fit too well
    expected, ((mean, spread),) = ExpectedValues.fit(WEEK, [training])
    new = steps(24 * 7 * 4, seed=1)
    new_mean, new_spread = expected.scale(new)

    own = ((training.scored - mean) / spread).std()
    later = ((new.scored - new_mean) / new_spread).std()

    assert 0.9 < later / own < 1.1


def test_hours_that_vary_more_have_a_larger_spread():
    rng = np.random.default_rng(7)
    training = steps(24 * 7 * 12, seed=0)
    by_day = np.arange(len(training.scored)) % 24 >= 12
    noisy = training.scored + by_day[:, None] * rng.normal(0, 0.3, training.scored.shape)
    expected, _ = ExpectedValues.fit(Calendar(("hour",)), [training._replace(scored=noisy)])

    spread = expected.scale(training)[1]

    assert spread[by_day].mean() > 2 * spread[~by_day].mean()


def test_a_series_has_what_is_particular_to_it_and_an_unknown_one_what_is_common():
    parts = [
        steps(24 * 14, i, series, level) for i, (series, level) in enumerate([("a", 1), ("b", -1)])
    ]
    expected, _ = ExpectedValues.fit(WEEK, parts)

    levels = {
        series: expected.scale(steps(24 * 7, 5, series))[0].mean()
        - expected.scale(steps(24 * 7, 5, "c"))[0].mean()
        for series in ("a", "b")
    }

    assert levels["a"] == pytest.approx(1, abs=0.1)
    assert levels["b"] == pytest.approx(-1, abs=0.1)


def test_a_covariate_far_beyond_training_says_no_more_than_one_a_little_beyond():
    training = steps(24 * 7 * 4, seed=0)
    expected, _ = ExpectedValues.fit(Calendar(), [training])
    low, high = training.covariates.min(), training.covariates.max()

    def mean(cell):
        covariates = np.full((1, 1), cell)
        return expected.scale(training.rows(slice(1))._replace(covariates=covariates))[0].item()

    assert mean(low - 100) == mean(low - (high - low))
    assert mean(low - 0.2 * (high - low)) > mean(low)


def test_a_missing_covariate_counts_as_its_mean():
    training = steps(24 * 7 * 4, seed=0)
    expected, _ = ExpectedValues.fit(WEEK, [training])

    missing, mean = (
        expected.scale(training._replace(covariates=np.full_like(training.covariates, cell)))
        for cell in (np.nan, 0.0)
    )

    np.testing.assert_array_equal(missing, mean)


def test_steps_with_a_missing_covariate_are_not_learned_from():
    training = steps(24 * 7 * 4, seed=0)
    covariates, scored = training.covariates.copy(), training.scored.copy()
    covariates[:100], scored[:100] = np.nan, 1e6
    kept = [training.rows(slice(100, None))]

    with_gaps = ExpectedValues.fit(
        Calendar(),
        [training._replace(covariates=covariates, scored=scored).rows(slice(0, 100)), *kept],
    )[0]
    without = ExpectedValues.fit(Calendar(), kept)[0]

    assert with_gaps.means[None] == pytest.approx(without.means[None], abs=0.1)


def test_a_shift_by_weeks_changes_nothing():
    training = steps(24 * 7 * 6, seed=0)
    later = training._replace(times=training.times + 35 * DAY)

    _, (one,) = ExpectedValues.fit(WEEK, [training])
    _, (other,) = ExpectedValues.fit(WEEK, [later])

    np.testing.assert_array_equal(one, other)


def test_folds_are_weeks_in_turn():
    hours = np.arange(24 * 7 * 6) * HOUR

    found = fold_numbers([hours, hours[200:300]], [len(hours), 100])

    np.testing.assert_array_equal(found[0], np.repeat([0, 1, 2, 3, 4, 0], 24 * 7))
    np.testing.assert_array_equal(found[1], found[0][200:300])


@pytest.mark.parametrize(
    "times",
    [None, np.arange(1000), np.arange(1000) / 7, np.r_[np.arange(500), 35 * DAY + np.arange(500)]],
    ids=["none", "numbers", "fractions", "two weeks of one fold"],
)
def test_folds_are_blocks_of_steps_where_dates_make_none(times):
    (found,) = fold_numbers([times], [1000])

    np.testing.assert_array_equal(found, np.repeat(np.arange(10) % FOLDS, 100))


def test_stored_and_rebuilt_they_are_the_same_to_the_bit():
    parts = [steps(24 * 14, seed, series) for seed, series in enumerate("ab")]
    expected, _ = ExpectedValues.fit(WEEK, parts)

    again = ExpectedValues.from_dict(json.loads(json.dumps(expected.to_dict())))

    np.testing.assert_array_equal(again.scale(parts[0]), expected.scale(parts[0]))


@pytest.mark.parametrize("change", ["means", "size", "covariate"])
def test_damaged_weights_are_refused(change):
    state = ExpectedValues.fit(WEEK, [steps(24 * 14, 0)])[0].to_dict()
    if change == "means":
        state["weights"][0][1][0].pop()
    elif change == "size":
        state["size"] = [-1.0]
    else:
        state["knots"] = []

    with pytest.raises(ValueError, match="in a stored model"):
        ExpectedValues.from_dict(state)


def test_rows_without_times_have_no_calendar():
    row = ConditionedSteps(None, np.zeros((1, 1)), np.zeros((1, 0)), None)

    with pytest.raises(ValueError, match="need times as dates, as in training"):
        condition_features(WEEK, np.zeros((0, 9)), row)
