import numpy as np
import pytest
import torch

from anomdiff.scoring.calibration import ScoreCalibration
from anomdiff.thresholds.conformal import conformal_p_values, conformal_threshold, needed_rows

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
