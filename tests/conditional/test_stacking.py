import pytest
import torch

from anomdiff.conditional.stacking import convex_weights, ridge_weights
from anomdiff.diffusion.noise import seeded


def trials(n_guesses=4, n=300, seed=0):
    """Guesses that each err by their own noise, and the truth."""
    generator = seeded(seed)
    truth = torch.randn(n, generator=generator, dtype=torch.float64)
    noise = torch.randn(n_guesses, n, generator=generator, dtype=torch.float64)
    sizes = torch.linspace(0.5, 2.0, n_guesses, dtype=torch.float64)[:, None]
    return truth + sizes * noise, truth


def squares(weights, guesses, truth):
    return (weights @ guesses - truth).square().sum()


@pytest.mark.parametrize("seed", range(5))
def test_convex_weights_are_not_negative_and_add_up_to_one(seed):
    guesses, truth = trials(seed=seed)

    weights = convex_weights(truth - guesses)

    assert (weights >= 0).all()
    assert weights.sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_convex_weights_err_no_more_than_any_single_guess_or_their_mean(seed):
    guesses, truth = trials(seed=seed)
    errors = truth - guesses

    stacked = (convex_weights(errors) @ errors).square().sum()

    assert stacked <= errors.square().sum(1).min()
    assert stacked <= errors.mean(0).square().sum()


def test_independent_errors_are_weighed_by_their_inverse_variance():
    guesses, truth = trials(n=50_000)

    weights = convex_weights(truth - guesses)

    inverse = torch.linspace(0.5, 2.0, 4, dtype=torch.float64) ** -2
    torch.testing.assert_close(weights, inverse / inverse.sum(), atol=0.02, rtol=0)


def test_convex_weights_do_not_change_with_the_unit():
    guesses, truth = trials()

    one, large, small = (convex_weights(s * (truth - guesses)) for s in (1, 1e6, 1e-6))

    torch.testing.assert_close(large, one)
    torch.testing.assert_close(small, one)


def test_where_no_guess_errs_any_convex_weights_will_do():
    weights = convex_weights(torch.zeros(3, 5, dtype=torch.float64))

    assert (weights >= 0).all()
    assert weights.sum() == 1


@pytest.mark.parametrize("seed", range(5))
def test_ridge_weights_are_not_negative_and_beat_every_single_guess(seed):
    guesses, truth = trials(seed=seed)

    weights = ridge_weights(guesses, truth, torch.zeros(4), 0.0)

    assert (weights >= 0).all()
    stacked = squares(weights, guesses, truth)
    assert all(stacked <= squares(unit, guesses, truth) for unit in torch.eye(4).double())


def test_without_penalty_and_bounds_ridge_weights_are_those_of_least_squares():
    guesses, truth = trials()

    weights = ridge_weights(guesses, truth, torch.zeros(4), 0.0)

    solved = torch.linalg.lstsq(guesses.T, truth[:, None]).solution[:, 0]
    assert (solved > 0).all()
    torch.testing.assert_close(weights, solved, atol=1e-6, rtol=0)


def test_a_strong_prior_is_followed_and_without_trials_it_is_all_there_is():
    (guesses, truth), prior = trials(), torch.tensor([0.1, 0.0, 0.2, 0.3], dtype=torch.float64)

    strong = ridge_weights(guesses, truth, prior, 1e9)
    alone = ridge_weights(guesses[:, :0], truth[:0], prior, 5.0)

    torch.testing.assert_close(strong, prior, atol=1e-5, rtol=0)
    torch.testing.assert_close(alone, prior)
