import numpy as np
import pandas as pd
import pytest
from scipy.stats import expon, t

from anomdiff.thresholds.budget import budget_threshold
from anomdiff.thresholds.conformal import (
    conformal_p_values,
    conformal_threshold,
    rank_p_values,
    weighted_p_values,
)
from anomdiff.thresholds.cost import cost_threshold, expected_loss, verdict_threshold
from anomdiff.thresholds.extreme_value import tail_threshold
from anomdiff.thresholds.fdr import benjamini_hochberg

COSTS = {"cost_of_miss": 50.0, "cost_of_alarm": 2.0}


def naive_flags(p_values, q):
    m, ordered = len(p_values), sorted(p_values)
    passed = [k for k in range(1, m + 1) if ordered[k - 1] <= q * k / m * (1 + 1e-12)]
    return np.array(p_values) <= (ordered[passed[-1] - 1] if passed else -1)


@pytest.mark.parametrize("q", [0.01, 0.1, 0.5])
def test_benjamini_hochberg_equals_the_naive_loop(q):
    rng = np.random.default_rng(0)
    for _ in range(100):
        p_values = np.where(rng.random(60) < 0.3, 0.02, 1) * rng.integers(1, 51, 60) / 50

        flags = benjamini_hochberg(p_values, q)

        np.testing.assert_array_equal(flags, naive_flags(p_values, q))


@pytest.mark.parametrize("q", [0.05, 0.2])
def test_benjamini_hochberg_keeps_its_level_on_conformal_p_values(q):
    rng = np.random.default_rng(1)
    anomalous, shares = np.arange(200) < 20, []
    for _ in range(400):
        calibration = np.sort(rng.normal(size=3999))
        p_values = conformal_p_values(calibration, rng.normal(size=200) + 4 * anomalous)
        flags = benjamini_hochberg(p_values, q)
        shares.append((flags & ~anomalous).sum() / max(flags.sum(), 1))

    # With q * (1 + n) / row whole and no ties, the rate is q times the share of normal rows.
    standard_error = np.std(shares) / np.sqrt(400)
    assert abs(np.mean(shares) - 0.9 * q) < 2 * standard_error


def test_benjamini_hochberg_at_0_or_1_is_refused():
    with pytest.raises(ValueError, match=r"need q between 0 and 1; got 1"):
        benjamini_hochberg(np.array([0.5]), 1.0)


def test_equal_weights_give_the_conformal_p_values():
    rng = np.random.default_rng(2)
    calibration, scores = rng.normal(size=(2, 200)).round(1)

    weighted = weighted_p_values(calibration, scores, np.full(200, 2.0), np.full(200, 2.0))

    np.testing.assert_array_equal(weighted, conformal_p_values(np.sort(calibration), scores))


def test_weighted_p_values_equal_the_naive_sum():
    rng = np.random.default_rng(3)
    calibration, scores = rng.normal(size=(2, 40)).round(1)
    known, new = rng.gamma(1.0, size=(2, 40))

    naive = [
        (w + known[calibration >= s].sum()) / (w + known.sum())
        for s, w in zip(scores, new, strict=True)
    ]

    np.testing.assert_allclose(weighted_p_values(calibration, scores, known, new), naive)


def shifted(rng, n, share):
    """Scores of two kinds of normal rows; those of the second kind, a ``share``, are larger."""
    second = rng.random(n) < share
    return rng.normal(size=n) + 2 * second, second


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_under_covariate_shift_weighted_p_values_are_valid_and_plain_ones_are_not(alpha):
    rng = np.random.default_rng(4)
    weighted, plain = [], []
    for _ in range(300):
        calibration, known = shifted(rng, 400, 0.2)
        scores, new = shifted(rng, 100, 0.6)
        ratio = np.array([0.4 / 0.8, 0.6 / 0.2])
        p_values = weighted_p_values(calibration, scores, ratio[known * 1], ratio[new * 1])
        weighted.append(np.mean(p_values <= alpha))
        plain.append(np.mean(conformal_p_values(np.sort(calibration), scores) <= alpha))

    assert np.mean(weighted) < alpha + 2 * np.std(weighted) / np.sqrt(300)
    assert np.mean(weighted) > 0.8 * alpha
    assert np.mean(plain) > 1.5 * alpha


def test_under_covariate_shift_discoveries_keep_their_level_by_weights_only():
    rng = np.random.default_rng(5)
    ratio, q = np.array([0.4 / 0.8, 0.6 / 0.2]), 0.1
    anomalous, weighted, plain = np.arange(200) < 20, [], []
    for _ in range(200):
        calibration, known = shifted(rng, 999, 0.2)
        scores, new = shifted(rng, 200, 0.6)
        scores = scores + 4 * anomalous
        by_weights = weighted_p_values(calibration, scores, ratio[known * 1], ratio[new * 1])
        for shares, p_values in [
            (weighted, by_weights),
            (plain, conformal_p_values(np.sort(calibration), scores)),
        ]:
            flags = benjamini_hochberg(p_values, q)
            shares.append((flags & ~anomalous).sum() / max(flags.sum(), 1))

    assert np.mean(weighted) < q + 2 * np.std(weighted) / np.sqrt(200)
    assert np.mean(plain) > 1.5 * q


@pytest.mark.parametrize("weights", [np.zeros(3), np.ones(2), np.full(3, np.inf)])
def test_weights_that_weigh_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="need 3 weights, positive and finite"):
        weighted_p_values(np.ones(2), np.ones(3), np.ones(2), weights)


@pytest.mark.parametrize("law", [expon(), t(4)], ids=["exponential", "student"])
def test_peaks_over_threshold_find_the_quantile_no_sample_shows(law):
    rng = np.random.default_rng(6)
    alpha = 1e-4

    thresholds = [
        tail_threshold(law.rvs(3000, random_state=rng), alpha, tail=0.05) for _ in range(30)
    ]

    # The alarm rate of the typical threshold is alpha within a factor of two.
    assert alpha / 2 < law.sf(np.median(thresholds)) < 2 * alpha
    assert np.isfinite(thresholds).all()


def test_the_tail_threshold_moves_and_scales_with_the_scores_and_falls_with_alpha():
    scores = np.random.default_rng(7).gamma(2.0, size=500)

    threshold = tail_threshold(scores, 1e-4)

    assert tail_threshold(1e6 * scores - 5, 1e-4) == pytest.approx(1e6 * threshold - 5, rel=1e-3)
    assert tail_threshold(scores[::-1], 1e-4) == pytest.approx(threshold)
    assert tail_threshold(scores, 1e-5) > threshold > tail_threshold(scores, 1e-2)


def test_where_both_can_tell_the_tail_threshold_agrees_with_the_conformal_one():
    scores = np.sort(np.random.default_rng(8).normal(size=20_000))

    threshold = tail_threshold(scores, 0.01)

    assert threshold == pytest.approx(conformal_threshold(scores, 0.01), abs=0.05)


@pytest.mark.parametrize(
    ("scores", "alpha", "message"),
    [
        (np.arange(100.0), 1e-3, "need at least 20 different scores beyond the quantile 0.9"),
        (np.r_[np.zeros(900), np.ones(100)], 1e-3, "got 0 of 1000|1 different"),
        (np.arange(1000.0), 0.2, "need 0 < alpha < 0.1"),
        (np.r_[np.arange(1000.0), np.nan], 1e-3, "none NaN"),
    ],
)
def test_a_tail_that_tells_nothing_is_refused(scores, alpha, message):
    with pytest.raises(ValueError, match=message):
        tail_threshold(scores, alpha)


@pytest.mark.parametrize(("n_alarms", "n_rows"), [(0, 20), (5, 200), (30, 300)])
def test_the_alarm_budget_is_exceeded_on_the_share_of_days_at_risk(n_alarms, n_rows):
    rng = np.random.default_rng(9)
    place = int(budget_threshold(np.arange(900.0), n_alarms=n_alarms, n_rows=n_rows, risk=0.1))
    over, over_if_lower = [], []
    for _ in range(2000):
        scores, day = np.sort(rng.random(900)), rng.random(n_rows)
        over.append((day > scores[place]).sum() > n_alarms)
        over_if_lower.append((day > scores[place - 1]).sum() > n_alarms)

    standard_error = np.sqrt(0.1 * 0.9 / 2000)
    assert np.mean(over) < 0.1 + 2 * standard_error
    assert np.mean(over_if_lower) > 0.1 - 2 * standard_error


def test_a_larger_budget_or_risk_never_raises_the_threshold():
    scores = np.random.default_rng(10).normal(size=500)

    budgets = [budget_threshold(scores, n_alarms=b, n_rows=100) for b in range(1, 100)]
    risks = [budget_threshold(scores, n_alarms=9, n_rows=100, risk=r / 10) for r in range(1, 10)]

    assert (np.diff(budgets) <= 0).all()
    assert (np.diff(risks) <= 0).all()


def test_a_budget_that_no_threshold_keeps_warns_and_flags_nothing():
    with pytest.warns(UserWarning, match="10 scores are too few for 0 alarms in 1000 rows"):
        threshold = budget_threshold(np.arange(10.0), n_alarms=0, n_rows=1000)

    assert threshold == np.inf


def labelled(seed, n=60):
    rng = np.random.default_rng(seed)
    anomalous = rng.random(n) < 0.3
    return (rng.normal(size=n) + 1.5 * anomalous).round(1), anomalous, rng.gamma(2.0, size=n)


@pytest.mark.parametrize("rate", [None, 0.01])
@pytest.mark.parametrize("weighted", [False, True])
def test_expected_loss_equals_the_naive_sum(rate, weighted):
    scores, anomalous, weights = labelled(0)
    weights = weights if weighted else np.ones(60)
    threshold = scores[7]

    miss = weights[anomalous & (scores <= threshold)].sum()
    alarm = weights[~anomalous & (scores > threshold)].sum()
    if rate is None:
        naive = (50 * miss + 2 * alarm) / weights.sum()
    else:
        naive = 50 * miss / weights[anomalous].sum() * rate
        naive += 2 * alarm / weights[~anomalous].sum() * (1 - rate)

    settings = {"anomaly_rate": rate, "weights": weights if weighted else None}
    assert expected_loss(threshold, scores, anomalous, **COSTS, **settings) == pytest.approx(naive)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("rate", [None, 0.01])
@pytest.mark.parametrize("lowest", [-np.inf, 0.75])
def test_no_threshold_costs_less_than_the_cost_threshold(seed, rate, lowest):
    scores, anomalous, weights = labelled(seed)
    settings = {**COSTS, "anomaly_rate": rate, "weights": weights}

    threshold = cost_threshold(scores, anomalous, lowest=lowest, **settings)

    grid = np.linspace(max(lowest, -5.0), 6, 500)
    found = expected_loss(threshold, scores, anomalous, **settings)
    assert found <= expected_loss(grid, scores, anomalous, **settings).min() + 1e-12
    assert threshold >= lowest


def test_the_cost_threshold_lies_amid_the_gap_and_at_the_ends_where_there_is_none():
    scores, anomalous = [1.0, 2.0, 4.0, 5.0], [False, False, True, True]

    assert cost_threshold(scores, anomalous, **COSTS) == 3
    assert cost_threshold(scores, [False] * 4, **COSTS) == 5
    assert cost_threshold(scores, [True] * 4, **COSTS) == -np.inf


def test_dearer_alarms_never_lower_the_cost_threshold():
    scores, anomalous, _ = labelled(1, n=300)

    found = [
        cost_threshold(scores, anomalous, cost_of_miss=1.0, cost_of_alarm=c)
        for c in np.geomspace(0.01, 100, 20)
    ]

    assert (np.diff(found) >= 0).all()


def test_frames_and_lists_do_as_arrays():
    scores, anomalous, _ = labelled(2)

    found = cost_threshold(pd.Series(scores), pd.Series(anomalous), **COSTS)

    assert found == cost_threshold(scores.tolist(), anomalous.tolist(), **COSTS)


def test_a_random_review_with_weights_finds_the_threshold_of_the_whole_review():
    rng = np.random.default_rng(11)
    anomalous = rng.random(200_000) < 0.02
    scores = rng.normal(size=200_000) + 4 * anomalous
    flagged = scores > 3
    reviewed = flagged | (rng.random(200_000) < 0.05)

    weights = np.where(flagged, 1, 20)[reviewed]
    found = cost_threshold(scores[reviewed], anomalous[reviewed], weights=weights, **COSTS)

    settings = {"scores": scores, "anomalous": anomalous, **COSTS}
    best = expected_loss(cost_threshold(**settings), **settings)
    assert found < 3  # the flagged rows alone could not have told
    assert expected_loss(found, **settings) < 1.05 * best
    assert expected_loss(3.0, **settings) > 1.05 * best


def production(rng, n_rows):
    """Scores and labels of rows to come: 1 % are anomalies."""
    anomalous = rng.random(n_rows) < 0.01
    return rng.normal(size=n_rows) + 3 * anomalous, anomalous


def test_verdicts_on_alarms_find_the_threshold_that_all_labels_would():
    rng = np.random.default_rng(12)
    costs = {"cost_of_miss": 5.0, "cost_of_alarm": 5.0}
    calibration = rng.normal(size=5000)
    scores, anomalous = production(rng, 50_000)
    alarms = scores > 1.5

    found = verdict_threshold(
        scores[alarms],
        anomalous[alarms],
        threshold=1.5,
        n_scored=50_000.0,
        calibration=calibration,
        **costs,
    )

    new, truth = production(rng, 200_000)
    best = expected_loss(np.linspace(1.5, 5, 100), new, truth, **costs).min()
    assert found > 1.5
    assert expected_loss(found, new, truth, **costs) < 1.05 * best


def test_calibration_rows_make_few_verdicts_tell_more():
    costs = {"cost_of_miss": 5.0, "cost_of_alarm": 5.0}
    rng = np.random.default_rng(13)
    new, truth = production(rng, 40_000)
    losses = {0: [], 5000: []}
    for _ in range(300):  # the difference is then four standard errors
        calibration = rng.normal(size=5000)
        scores, anomalous = production(rng, 1000)
        alarms = scores > 1.5
        for n, seen in losses.items():
            found = verdict_threshold(
                scores[alarms],
                anomalous[alarms],
                threshold=1.5,
                n_scored=1000.0,
                calibration=calibration[:n],
                **costs,
            )
            seen.append(expected_loss(found, new, truth, **costs))

    assert np.mean(losses[5000]) < np.mean(losses[0])


def test_verdicts_never_lower_the_threshold():
    settings = {"threshold": 2.0, "n_scored": 100.0, "calibration": np.arange(50) / 25, **COSTS}

    assert verdict_threshold([3.0, 4.0], [True, True], **settings) == 2
    assert verdict_threshold([3.0, 4.0], [False, False], **settings) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": 3.5}, "with scores above 3.5; got 3"),
        ({"n_scored": 1.0}, "need n_scored of at least 2 verdicts; got 1"),
        ({"anomalous": [True]}, "need one label per score"),
        ({"anomalous": np.array([True, None])}, "need labels that are True or False; got None"),
        ({"anomalous": [1.0, np.nan]}, "need labels that are True or False; got nan"),
        ({"cost_of_alarm": -1.0}, "need costs of at least 0"),
    ],
)
def test_verdicts_that_cannot_be_are_refused(changes, message):
    settings = {"scores": [3.0, 4.0], "anomalous": [True, False], "threshold": 2.0}
    settings |= {"n_scored": 100.0, "calibration": [], **COSTS, **changes}

    with pytest.raises(ValueError, match=message):
        verdict_threshold(**settings)


def test_an_anomaly_rate_needs_both_kinds_of_rows():
    with pytest.raises(ValueError, match="need anomalies and normal rows to use anomaly_rate"):
        cost_threshold([1.0, 2.0], [False, False], anomaly_rate=0.1, **COSTS)


def test_rows_without_a_score_have_no_p_value_and_do_not_count_in_the_batch():
    rng = np.random.default_rng(0)
    calibration, scores = np.sort(rng.normal(size=99)), rng.normal(size=40) + 2
    missing = np.arange(40) % 4 == 0
    known = conformal_p_values(calibration, scores[~missing])

    p_values = conformal_p_values(calibration, np.where(missing, np.nan, scores))

    np.testing.assert_array_equal(np.isnan(p_values), missing)
    np.testing.assert_array_equal(p_values[~missing], known)
    flags = benjamini_hochberg(p_values, 0.3)
    np.testing.assert_array_equal(flags[~missing], benjamini_hochberg(known, 0.3))
    assert flags.any()
    assert not flags[missing].any()
    assert not benjamini_hochberg(np.full(3, np.nan), 0.3).any()


def test_ranks_count_the_judged_scores_that_are_as_large():
    scores = np.array([3.0, np.nan, 1.0, 3.0, 2.0])

    p_values, flags = rank_p_values(scores, alpha=0.5)

    naive = [np.nan if np.isnan(s) else (scores >= s).sum() / 4 for s in scores]
    np.testing.assert_array_equal(p_values, naive)
    np.testing.assert_array_equal(flags, [True, False, False, True, False])
    assert not rank_p_values(scores, alpha=0.4)[1].any()
