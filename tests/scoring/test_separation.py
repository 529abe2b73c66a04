import numpy as np
import pytest
import torch

from anomdiff.scoring.separation import (
    LEAST_ROWS,
    LEAST_WEIGHT,
    MOST_WEIGHT,
    SHARPNESS,
    separation_weights,
)


def drawn(*shifts, n=50, seed=0):
    """Standard normal errors of one component per shift."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, generator=generator).double() + shift for shift in shifts]


def test_weights_follow_the_areas_under_the_roc_curve():
    held_out, kinds = drawn(0, 0, 0), [drawn(0.2, 0.3, 0.1, seed=1), drawn(0.3, 0.1, 0.2, seed=2)]

    weights = separation_weights(held_out, kinds, [1.0, 0.5, 2.0])

    areas = np.zeros(3)
    for kind in kinds:
        for i, (low, high) in enumerate(zip(held_out, kind, strict=True)):
            wins = [(b > a) + 0.5 * (b == a) for b in high.tolist() for a in low.tolist()]
            areas[i] += np.mean(wins) / 2
    naive = np.exp(SHARPNESS * (areas - areas.mean()))
    naive = np.clip(naive / naive.mean(), LEAST_WEIGHT, MOST_WEIGHT)
    naive *= [1.0, 0.5, 2.0]
    np.testing.assert_allclose(weights, naive / naive.sum())


def test_the_component_that_separates_best_weighs_most_and_none_is_left_out():
    weights = separation_weights(drawn(0, 0, 0, 0), [drawn(5, 0, -5, 0, seed=1)], [1.0] * 4)

    assert weights[0] == max(weights)
    assert min(weights) > 0
    assert max(weights) / min(weights) <= MOST_WEIGHT / LEAST_WEIGHT + 1e-9
    assert sum(weights) == pytest.approx(1)


def test_equal_separation_gives_equal_weights():
    held_out, corrupted = drawn(0), drawn(1, seed=1)

    weights = separation_weights(held_out * 3, [corrupted * 3], [1.0] * 3)

    assert weights == pytest.approx([1 / 3] * 3)


def test_few_held_out_rows_say_nothing_beyond_the_priors():
    n = LEAST_ROWS - 1

    weights = separation_weights(drawn(0, 0, n=n), [drawn(5, 0, n=n, seed=1)], [3.0, 1.0])

    assert weights == [0.75, 0.25]


def test_a_monotone_change_of_a_component_changes_no_weight():
    held_out, corrupted = drawn(0, 0), drawn(1, 0.5, seed=1)

    known, copies = [h.exp() for h in held_out], [c.exp() for c in corrupted]
    bent = separation_weights(known, [copies], [1.0, 1.0])

    assert bent == pytest.approx(separation_weights(held_out, [corrupted], [1.0, 1.0]))
