import pytest
import torch

from anomdiff.diffusion.noise import (
    geometric_levels,
    karras_levels,
    lognormal_levels,
    noise_bank,
    sign_bank,
)


@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0])
def test_karras_levels_decrease_between_their_ends(rho):
    levels = karras_levels(9, 0.05, 4.0, rho)

    assert (levels.diff() < 0).all()
    torch.testing.assert_close(levels[[0, -1]], torch.tensor([4.0, 0.05], dtype=torch.float64))


def test_karras_levels_are_evenly_spaced_in_their_root():
    root = karras_levels(6, 0.1, 2.0, rho=5.0) ** (1 / 5)

    torch.testing.assert_close(root.diff(), root.diff()[:1].expand(5))


def test_geometric_levels_have_one_ratio():
    levels = geometric_levels(7, 0.05, 4.0)

    torch.testing.assert_close(levels[[0, -1]], torch.tensor([0.05, 4.0], dtype=torch.float64))
    torch.testing.assert_close(levels[1:] / levels[:-1], (levels[1:2] / levels[:1]).expand(6))


@pytest.mark.parametrize("grid", [karras_levels, geometric_levels])
@pytest.mark.parametrize(
    ("n", "low", "high", "message"),
    [(1, 0.1, 1.0, "at least 2; got 1"), (5, 2.0, 1.0, "sigma_min=2.0"), (5, 0.0, 1.0, "0 <")],
)
def test_a_grid_that_is_none_is_refused(grid, n, low, high, message):
    with pytest.raises(ValueError, match=message):
        grid(n, low, high)


def test_training_levels_follow_the_lognormal_law_in_every_batch():
    levels = lognormal_levels(512, -1.0, 1.2, torch.Generator().manual_seed(0))

    logs = levels.log().sort().values
    quantiles = torch.special.ndtri((torch.arange(512) + 0.5) / 512) * 1.2 - 1.0
    assert (logs - quantiles)[5:-5].abs().max() < 0.2
    assert logs.mean().item() == pytest.approx(-1.0, abs=0.02)


def test_training_levels_come_in_random_order():
    levels = lognormal_levels(512, -1.0, 1.2, torch.Generator().manual_seed(0))

    rank = levels.argsort().argsort().double()
    assert torch.corrcoef(torch.stack([rank, torch.arange(512.0).double()]))[0, 1].abs() < 0.2


@pytest.mark.parametrize("make", [noise_bank, sign_bank])
@pytest.mark.parametrize("event_shape", [(5,), (3, 16)], ids=["table", "window"])
def test_noise_banks_are_antithetic_and_repeatable(make, event_shape):
    bank = make(3, 4, event_shape, seed=7)

    assert bank.shape == (3, 4, *event_shape)
    torch.testing.assert_close(bank.sum(1), torch.zeros(3, *event_shape))
    assert torch.equal(bank, make(3, 4, event_shape, seed=7))
    assert not torch.equal(bank, make(3, 4, event_shape, seed=8))


def test_signs_move_every_entry_by_the_same_amount_in_either_direction():
    bank = sign_bank(2, 200, (6,), seed=0)

    assert (bank.abs() == 1).all()
    assert bank[:, :100].mean().item() == pytest.approx(0, abs=0.1)


def test_odd_draws_have_no_pairs():
    with pytest.raises(ValueError, match="even.*got 3"):
        noise_bank(3, 3, (5,), seed=0)
