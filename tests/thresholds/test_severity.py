"""Laws of severities and q-values."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from anomdiff.thresholds.conformal import conformal_threshold
from anomdiff.thresholds.fdr import benjamini_hochberg, q_values
from anomdiff.thresholds.severity import severity

CALIBRATION = np.sort(np.random.default_rng(0).gamma(2.0, 1.0, 999))
THRESHOLD = conformal_threshold(CALIBRATION, 0.01)


def test_a_typical_row_has_no_severity_and_one_at_the_threshold_has_50():
    median = np.median(CALIBRATION)

    found = severity([median, median - 5, THRESHOLD], CALIBRATION, THRESHOLD)

    assert found.tolist() == [0.0, 0.0, pytest.approx(50.0)]


def test_severity_grows_with_the_score_far_beyond_calibration_and_stays_below_100():
    scores = CALIBRATION[-1] + np.geomspace(1e-6, 1e9, 300)

    found = severity(scores, CALIBRATION, THRESHOLD)

    assert (np.diff(found) > 0).all()
    assert found[0] > 50
    assert (severity([1e12, 1e300, np.inf], CALIBRATION, THRESHOLD) < 100).all()


def test_severity_is_on_one_side_of_50_exactly_where_the_row_is_flagged():
    scores = np.random.default_rng(1).gamma(2.0, 2.0, 500)

    found = severity(scores, CALIBRATION, THRESHOLD)

    np.testing.assert_array_equal(found > 50, scores > THRESHOLD)


def test_severity_does_not_depend_on_the_batch_nor_on_the_order_of_calibration():
    rng = np.random.default_rng(2)
    scores = rng.normal(3, 4, 50)

    found = severity(scores, CALIBRATION, THRESHOLD)

    alone = [severity([score], rng.permutation(CALIBRATION), THRESHOLD)[0] for score in scores]
    np.testing.assert_array_equal(found, alone)


def test_severity_does_not_depend_on_the_unit_of_the_score():
    scores = np.random.default_rng(3).gamma(2.0, 2.0, 50)

    scaled = severity(3 * scores + 7, 3 * CALIBRATION + 7, 3 * THRESHOLD + 7)

    np.testing.assert_allclose(scaled, severity(scores, CALIBRATION, THRESHOLD))


def test_severity_is_missing_where_the_score_is():
    assert np.isnan(severity([np.nan, 1.0], CALIBRATION, THRESHOLD)).tolist() == [True, False]


def test_without_a_threshold_the_largest_calibration_score_has_50():
    found = severity([CALIBRATION[-1]], CALIBRATION, np.inf)

    assert found[0] == pytest.approx(50.0)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_severity_is_a_number_where_normal_rows_are_alike(threshold):
    found = severity([0.0, 1.0, 2.0], np.ones(20), threshold)

    assert found[:2].tolist() == [0.0, 0.0]
    assert 99 < found[2] < 100


def test_severity_needs_calibration_and_a_threshold():
    with pytest.raises(ValueError, match="need calibration of shape"):
        severity([1.0], [], 1.0)
    with pytest.raises(ValueError, match="need a threshold; got nan"):
        severity([1.0], [1.0], np.nan)


def test_q_values_are_the_least_rates_that_flag_a_row():
    rng = np.random.default_rng(4)
    for _ in range(30):
        p_values = rng.integers(1, 51, 60) / 50

        found = q_values(p_values)

        np.testing.assert_allclose(found, false_discovery_control(p_values, method="bh"))
        for q in (0.05, 0.3, 0.9):
            flags = benjamini_hochberg(p_values, q)
            np.testing.assert_array_equal(found <= q * (1 + 1e-9), flags)


def test_q_values_of_counted_p_values_are_those_of_all_rows():
    p_values = np.random.default_rng(5).integers(1, 21, 300) / 20
    distinct, places, counts = np.unique(p_values, return_inverse=True, return_counts=True)

    counted = q_values(distinct, counts)

    np.testing.assert_allclose(counted[places], q_values(p_values))


def test_missing_p_values_are_none_of_the_batch():
    found = q_values([0.01, np.nan, 0.5])

    np.testing.assert_allclose(found[[0, 2]], q_values([0.01, 0.5]))
    assert np.isnan(found[1])
    assert np.isnan(q_values([np.nan])).all()


def test_q_values_need_p_values_and_their_counts():
    with pytest.raises(ValueError, match=r"need p_values between 0 and 1; got -1.0 to 0.5"):
        q_values([0.5, -1.0])
    with pytest.raises(ValueError, match=r"need counts of shape \(2,\); got \(1,\)"):
        q_values([0.5, 1.0], [3])
