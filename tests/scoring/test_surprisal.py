import math

import numpy as np
import pytest
import torch
from scipy.stats import genpareto

from anomdiff.scoring.surprisal import LARGE_SHARE, LARGEST_SHAPE, LOUD, PRIOR_EXCESSES, Surprisal


def drawn(n, n_levels=2, seed=0, power=1.0):
    """Errors that are exponential to some power: heavy-tailed where it is above 1."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.exponential(size=(n, n_levels)) ** power)


def test_surprisals_of_most_rows_are_those_of_their_conformal_p_values():
    held_out, new = drawn(200), drawn(100, seed=1)

    found = Surprisal.fit(held_out, 1e-6)(new)

    for level in range(2):
        known = held_out[:, level]
        threshold = known.sort().values[int((1 - LARGE_SHARE) * 199)]
        for error, surprisal in zip(new[:, level], found[:, level], strict=True):
            if error <= threshold:
                p_value = (1 + (known >= error).sum().item()) / 201
                assert surprisal.item() == pytest.approx(-math.log(p_value))


@pytest.mark.parametrize("power", [0.7, 1.0, 2.0, 4.0])
def test_beyond_the_threshold_the_tail_is_a_generalised_pareto_one(power):
    held_out = drawn(500, 1, power=power)
    surprisal = Surprisal.fit(held_out, 1e-6)
    threshold = held_out.sort(0).values[int((1 - LARGE_SHARE) * 499)].item()
    new = threshold + 0.01 + 100 * drawn(50, 1, seed=1)

    found = surprisal(new)

    shape, scale = surprisal.shape.item(), surprisal.scale.item()
    naive = -math.log(LARGE_SHARE) - genpareto.logsf(new.numpy() - threshold, shape, scale=scale)
    expected = np.where(naive > LOUD, LOUD + np.log1p(np.maximum(naive - LOUD, 0)), naive)
    np.testing.assert_allclose(found, expected)
    assert 0 <= shape <= LARGEST_SHAPE


def test_the_mean_of_the_tail_is_that_of_the_excesses_and_heavy_tails_have_shapes():
    light, heavy = (Surprisal.fit(drawn(5000, 1, power=power), 1e-6) for power in (0.5, 3.0))

    for surprisal, power in ((light, 0.5), (heavy, 3.0)):
        ordered = drawn(5000, 1, power=power)[:, 0].sort().values
        threshold = ordered[int((1 - LARGE_SHARE) * 4999)]
        mean = (ordered[ordered >= threshold] - threshold).mean().item()
        assert surprisal.scale.item() / (1 - surprisal.shape.item()) == pytest.approx(mean)
    assert light.shape.item() == 0
    assert heavy.shape.item() > 0.3


def test_few_excesses_pull_the_shape_to_an_exponential_tail():
    excesses = torch.tensor([0.0, 0.1, 0.2, 0.4, 5.0], dtype=torch.float64)
    errors = torch.cat([torch.zeros(36), 1 + excesses])[:, None].double()

    found = Surprisal.fit(errors, 1e-6).shape.item()

    # The largest tenth of 41 errors are the five above, by their weighted moments.
    above = torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0])
    mean, weighted = excesses.mean().item(), (above * excesses).mean().item()
    assert found == pytest.approx(
        min((2 - mean / (mean - 2 * weighted)) * 5 / (5 + PRIOR_EXCESSES), LARGEST_SHAPE)
    )


def test_surprisals_rise_with_errors_and_stay_finite():
    surprisal = Surprisal.fit(drawn(100, 1), 1e-6)
    errors = torch.logspace(-3, 12, 300).double()[:, None]

    found = surprisal(errors)[:, 0]

    assert (found.diff() >= 0).all()
    assert (found[errors[:, 0] > 10].diff() > 0).all()
    assert torch.isfinite(found).all()
    assert (found >= 0).all()


def test_errors_that_differ_by_rounding_are_equally_surprising():
    held_out = torch.tensor([0.0, 0.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).double()[:, None]
    surprisal = Surprisal.fit(held_out, 1e-6)

    torch.testing.assert_close(surprisal(held_out + 1e-7), surprisal(held_out), rtol=0, atol=1e-5)


def test_errors_all_alike_have_the_least_tail():
    surprisal = Surprisal.fit(torch.ones(30, 1, dtype=torch.float64), 0.5)

    assert surprisal.scale.item() == 0.5
    found = surprisal(torch.full((1, 1), 2.0, dtype=torch.float64)).item()
    assert found == pytest.approx(-math.log(LARGE_SHARE) + 2)


def test_a_single_held_out_row_is_enough():
    surprisal = Surprisal.fit(torch.ones(1, 2, dtype=torch.float64), 1e-6)

    assert torch.isfinite(surprisal(drawn(10))).all()
