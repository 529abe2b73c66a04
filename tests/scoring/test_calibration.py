from dataclasses import replace

import numpy as np
import pytest
import torch

from anomdiff.scoring.calibration import ScoreCalibration
from anomdiff.thresholds.conformal import (
    conformal_p_values,
    conformal_threshold,
    needed_rows,
    safely_below,
)

ALPHAS = pytest.mark.parametrize("alpha", [0.001, 0.01, 0.05, 0.1, 0.5, 0.9])


@pytest.mark.filterwarnings("ignore:alpha")
@pytest.mark.parametrize("n", [1, 9, 18, 19, 20, 100, 999])
@ALPHAS
def test_threshold_and_p_value_flag_the_same_rows(n, alpha):
    rng = np.random.default_rng(n)
    calibration = np.sort(np.round(rng.normal(size=n), 1))
    scores = np.round(rng.normal(size=500), 1)

    flagged = scores > conformal_threshold(calibration, alpha)

    np.testing.assert_array_equal(flagged, conformal_p_values(calibration, scores) <= alpha)


def test_p_values_equal_the_naive_count():
    rng = np.random.default_rng(0)
    calibration = np.sort(np.round(rng.normal(size=40), 1))
    scores = np.round(rng.normal(size=100), 1)

    naive = [(1 + sum(c >= s for c in calibration)) / 41 for s in scores]

    np.testing.assert_allclose(conformal_p_values(calibration, scores), naive)


def test_what_is_larger_by_rounding_is_equal():
    calibration = np.array([-3.0, 0.5, 0.5, 2.0])

    p_values = conformal_p_values(calibration, calibration + 1e-8)

    np.testing.assert_array_equal(p_values, conformal_p_values(calibration, calibration))
    assert not (calibration[2] + 1e-8 > conformal_threshold(calibration, 0.4)).any()


@pytest.mark.parametrize("score", [-3.0, 0.0, 0.5, 200.0])
def test_scores_that_differ_by_a_hundred_thousandth_are_equal(score):
    calibration, tie = np.array([score]), 1e-5 * (1 + abs(score))
    near, far = score + 0.99 * tie, score + 1.01 * tie

    p_values = conformal_p_values(calibration, np.array([near, far]))

    np.testing.assert_array_equal(p_values, [1.0, 0.5])
    assert near <= conformal_threshold(calibration, 0.5) < far


@pytest.mark.parametrize("threshold", [-3.0, 0.0, 0.5, 200.0])
def test_what_is_safely_below_a_threshold_is_so_by_half_of_what_makes_scores_equal(threshold):
    tie = 1e-5 * (1 + abs(threshold))

    assert safely_below(threshold) == pytest.approx(threshold - tie / 2, abs=tie / 100)


@ALPHAS
def test_alarm_rate_on_exchangeable_rows_is_alpha_at_most(alpha):
    rng = np.random.default_rng(1)
    rates = []
    for _ in range(300):
        calibration = np.sort(rng.normal(size=1000))
        rates.append(np.mean(rng.normal(size=500) > conformal_threshold(calibration, alpha)))

    standard_error = np.std(rates) / np.sqrt(300)
    assert alpha - 1 / 1001 - 3 * standard_error < np.mean(rates) < alpha + 3 * standard_error


@ALPHAS
def test_needed_rows_are_just_enough(alpha):
    n = needed_rows(alpha)

    assert conformal_p_values(np.zeros(n), np.ones(1))[0] <= alpha + 1e-12
    if n > 0:
        assert conformal_p_values(np.zeros(n - 1), np.ones(1))[0] > alpha


def test_too_few_rows_warn_and_flag_nothing():
    with pytest.warns(
        UserWarning,
        match=r"alpha=0\.01 needs at least 99 held-out rows; there are 20, .* set alpha to 0\.0477",
    ):
        threshold = conformal_threshold(np.arange(20.0), 0.01)

    assert threshold == np.inf


def test_calibration_rows_have_mean_zero_and_components_the_same_weight():
    generator = torch.Generator().manual_seed(0)
    one, two = torch.rand(2, 400, 3, generator=generator, dtype=torch.float64)
    errors = [one * 100 + 7, two]

    calibration = ScoreCalibration.fit(errors)

    scores = calibration.score(errors)
    assert scores.mean().item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(scores, ScoreCalibration.fit([one, two]).score([one, two]))


def older(known, weights):
    """A calibration of older formats, in which errors count as they are."""
    mean, std = [each.mean(0) for each in known], [each.std(0) for each in known]
    standard = [((e - m) / s).mean(1) for e, m, s in zip(known, mean, std, strict=True)]
    return ScoreCalibration(None, mean, std, [each.std().item() for each in standard], weights)


def test_score_is_monotone_in_every_error():
    errors = [torch.rand(50, 2, dtype=torch.float64), torch.rand(50, 3, dtype=torch.float64)]
    calibration = ScoreCalibration.fit(errors)
    before = calibration.score(errors)

    for component, level in [(0, 0), (0, 1), (1, 0), (1, 2)]:
        larger = [tensor.clone() for tensor in errors]
        larger[component][:, level] += 0.1
        assert (calibration.score(larger) > before).all()


def test_constant_errors_do_not_divide_by_zero():
    errors = [torch.ones(20, 2, dtype=torch.float64)]

    assert torch.isfinite(ScoreCalibration.fit(errors).score(errors)).all()


def errors_of(n_components, n_levels=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.rand(40, n_levels + i, generator=generator, dtype=torch.float64) * 10**i + i
        for i in range(n_components)
    ]


@pytest.mark.parametrize("fit", [older, lambda known, weights: fitted(known, weights)])
def test_the_score_is_the_weighted_mean_of_components_in_their_standard_deviations(fit):
    known, new, weights = errors_of(3), errors_of(3, seed=1), [0.5, 0.3, 0.2]
    calibration = fit(known, weights)

    scores = calibration.score(new)

    naive = np.zeros(40)
    for i, weight in enumerate(weights):
        read = calibration.surprisals[i] if calibration.surprisals else lambda errors: errors
        old, errors = read(known[i]).numpy(), read(new[i]).numpy()
        mean, std = old.mean(0), old.std(0, ddof=1)
        spread = ((old - mean) / std).mean(1).std(ddof=1)
        naive += weight * ((errors - mean) / std).mean(1) / spread
    np.testing.assert_allclose(scores, naive)


def fitted(known, weights):
    """A calibration of today with these weights."""
    return replace(ScoreCalibration.fit(known), weights=weights)


def test_a_monotone_change_of_all_errors_below_the_tail_changes_no_score():
    known, new = errors_of(1, n_levels=1), errors_of(1, n_levels=1, seed=1)
    threshold = known[0].sort(0).values[35]  # of 40, a tenth is the tail
    bent = [
        [torch.where(e > threshold, e, threshold * (e / threshold) ** 3) for e in x]
        for x in (known, new)
    ]

    scores = ScoreCalibration.fit(bent[0]).score(bent[1])

    torch.testing.assert_close(scores, ScoreCalibration.fit(known).score(new))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_score_is_part_mean_part_maximum_of_weighted_components(share):
    calibration, new = fitted(errors_of(3), [0.5, 0.2, 0.3]), errors_of(3, seed=1)

    scores = replace(calibration, maximum_share=share).score(new)

    for row, standard in enumerate(zip(*calibration.standardise(new), strict=True)):
        weighted = [w * s.item() for w, s in zip([0.5, 0.2, 0.3], standard, strict=True)]
        naive = (1 - share) * sum(weighted) + share * max(3 * each for each in weighted)
        assert scores[row].item() == pytest.approx(naive)


def test_a_row_that_one_component_sees_is_louder_with_a_share_of_the_maximum():
    calibration = ScoreCalibration.fit(errors_of(4))
    new = [each.median(0, keepdim=True).values for each in errors_of(4)]
    new[2] = 10 * errors_of(4)[2].amax(0, keepdim=True)

    mean, part = (replace(calibration, maximum_share=share).score(new) for share in (0.0, 0.35))

    assert part > 1.5 * mean


def test_a_calibration_from_its_dict_scores_the_same():
    mean, part = ScoreCalibration.fit(errors_of(2)), older(errors_of(2), [0.4, 0.6])
    for calibration in (mean, part, replace(mean, maximum_share=0.35)):
        again = ScoreCalibration.from_dict(calibration.to_dict())

        new = errors_of(2, seed=1)
        torch.testing.assert_close(again.score(new), calibration.score(new), rtol=0, atol=0)


def test_calibrations_stored_without_a_share_of_the_maximum_are_means():
    calibration = ScoreCalibration.fit(errors_of(2))
    state = calibration.to_dict()
    del state["maximum_share"]

    assert ScoreCalibration.from_dict(state).maximum_share == 0


def test_all_components_weigh_the_same_unless_told_otherwise():
    weights = ScoreCalibration.fit(errors_of(4)).weights

    assert weights == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("left_out", range(3))
def test_leaving_a_component_out_changes_the_score(left_out):
    calibration, new = ScoreCalibration.fit(errors_of(3)), errors_of(3, seed=1)
    standard = calibration.standardise(new)

    others = sum(each / 3 for i, each in enumerate(standard) if i != left_out)

    assert ((others - calibration.score(new)).abs() > 1e-3).double().mean() > 0.9


def test_held_out_errors_without_spread_leave_what_is_larger_loud_but_finite():
    calibration = ScoreCalibration.fit([torch.ones(20, 1, dtype=torch.float64)])

    near, far = (torch.full((1, 1), each, dtype=torch.float64) for each in (1.5, 3.0))

    assert 10 < calibration.score([near]).item() < calibration.score([far]).item() < 1000


def test_a_larger_least_tail_quietens_errors_beyond_the_held_out_ones():
    errors = [torch.zeros(40, 1, dtype=torch.float64)]
    new = [torch.full((1, 1), 2.0, dtype=torch.float64)]

    quiet, loud = (ScoreCalibration.fit(errors, [tail]).score(new) for tail in (1.0, 0.1))

    assert 0 < quiet.item() < loud.item()
