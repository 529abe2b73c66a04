import numpy as np
import pytest
from scipy.stats import norm

from anomdiff.monitoring.classifier_test import auc_by_chance, classifier_drift


def correlated(n, seed, correlation=0.8):
    covariance = [[1, correlation, 0], [correlation, 1, 0], [0, 0, 1]]
    return np.random.default_rng(seed).multivariate_normal(np.zeros(3), covariance, size=n)


@pytest.mark.parametrize("seed", range(4))
def test_rows_without_drift_are_not_told_apart(seed):
    found = classifier_drift(correlated(600, seed), correlated(300, 100 + seed))

    assert abs(found["auc"] - 0.5) < 4 * auc_by_chance(600, 300, 0.0)[1]
    assert found["p_value"] > 1e-3


def test_a_change_that_no_single_column_shows_is_found():
    found = classifier_drift(correlated(600, 0), correlated(300, 1, correlation=-0.8), odd=0.05)

    assert found["auc"] > 0.8
    assert found["p_value"] < 1e-9


def test_odd_rows_up_to_their_share_are_no_drift():
    batch = correlated(500, 1)
    batch[:25] = 40.0  # all alike, as far out as one likes

    assert classifier_drift(correlated(800, 0), batch, odd=0.05)["p_value"] > 0.01


def test_rows_that_repeat_do_not_make_a_batch_another_one():
    batch = np.repeat(correlated(60, 1), 10, axis=0)

    assert classifier_drift(correlated(600, 0), batch)["p_value"] > 1e-3


def test_missing_cells_count_as_such():
    known, batch = correlated(400, 0), correlated(400, 1)
    batch[:200, 2] = np.nan

    assert classifier_drift(known, batch, odd=0.05)["p_value"] < 1e-6


@pytest.mark.parametrize("shape", [(20, 3), (500, 0)])
def test_of_few_rows_or_no_column_nothing_is_told(shape):
    found = classifier_drift(np.zeros((500, shape[1])), np.ones(shape))

    assert found == {"auc": 0.5, "p_value": 1.0}


def test_the_variance_without_odd_rows_is_that_of_the_rank_sum():
    n, m = 300, 120

    assert auc_by_chance(n, m, 0.0) == (0.5, pytest.approx(((n + m + 1) / (12 * n * m)) ** 0.5))


def test_the_spread_of_the_area_is_near_that_of_simulated_scores():
    rng, areas = np.random.default_rng(0), []
    area, spread = auc_by_chance(80, 60, 0.3)
    for _ in range(2000):
        scores = rng.normal(size=80), rng.normal(np.sqrt(2) * norm.ppf(area), size=60)
        areas.append((scores[0][:, None] < scores[1]).mean())

    assert np.mean(areas) == pytest.approx(area, abs=0.005)
    assert np.std(areas) == pytest.approx(spread, rel=0.1)
