import numpy as np
import pytest

from anomdiff.models.common_scale import CommonScale, common_threshold
from anomdiff.thresholds.conformal import conformal_p_values, conformal_threshold


def drawn(n, seed=0, digits=None):
    """Calibration scores and new ones, of which some are far out; with ties, if rounded."""
    rng = np.random.default_rng(seed)
    scores = rng.gamma(2.0, 1.0, n), np.concatenate([rng.gamma(2.0, 1.0, 300), [0.0, 30.0, 300.0]])
    return tuple(np.sort(each if digits is None else each.round(digits)) for each in scores)


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("n", [1, 5, 400])
def test_scores_keep_their_order(n, digits):
    calibration, scores = drawn(n, digits=digits)

    found = CommonScale(calibration)(scores)

    apart = np.diff(scores) > 0
    assert (np.diff(found)[apart] > 0).all()
    assert (np.diff(found)[~apart] == 0).all()


@pytest.mark.parametrize("digits", [None, 1])
def test_within_the_calibration_scores_it_is_minus_the_logarithm_of_the_p_value(digits):
    calibration, scores = drawn(400, digits=digits)
    scores = scores[scores <= calibration[-1]]

    found = CommonScale(calibration)(scores)

    np.testing.assert_allclose(
        found, -np.log(conformal_p_values(calibration, scores)), rtol=0, atol=2e-9
    )


@pytest.mark.parametrize("alpha", [0.005, 0.01, 0.05, 0.1, 0.5])
@pytest.mark.parametrize("n", [199, 200, 999])
def test_one_threshold_flags_as_that_of_each_model(n, alpha):
    calibration, scores = drawn(n, seed=n, digits=1)

    flagged = CommonScale(calibration)(scores) > common_threshold(alpha)

    np.testing.assert_array_equal(flagged, conformal_p_values(calibration, scores) <= alpha)
    assert flagged.any()
    assert not flagged.all()


@pytest.mark.parametrize("alpha", [0.01, 0.1])
def test_the_score_of_a_threshold_is_that_of_the_model_itself(alpha):
    calibration, _ = drawn(500)

    score = CommonScale(calibration).score_at(common_threshold(alpha))

    assert score == pytest.approx(conformal_threshold(calibration, alpha), rel=1e-9)


def test_beyond_the_calibration_scores_the_tail_goes_on():
    calibration, _ = drawn(2000)
    scale = CommonScale(calibration)
    # The tail of this gamma distribution: exp(-x) (1 + x).
    far = np.array([12.0, 15.0, 18.0])

    np.testing.assert_allclose(scale(far), far - np.log1p(far), rtol=0.3)
    assert scale.score_at(scale(far[:1])[0]) == pytest.approx(12.0)
