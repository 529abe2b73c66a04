from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from torch import nn

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.noise import geometric_levels, noise_bank
from anomdiff.reference.reference_set import ReferenceSet
from anomdiff.scoring.cooccurrence import Cooccurrence
from anomdiff.scoring.ensemble import Ensemble

# Numbers as distances and as ranks, a category beside them in both views.
VIEWS = torch.tensor([[True, False, True], [False, True, True]])
WEIGHTS = torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64)
SIZES = torch.tensor([3, 2])


class Exchange(nn.Module):
    """The network that expects of each of two entries what the other one is."""

    def forward(self, x, given, c_noise):
        return x.flip(1)


def made(**changes):
    """An ensemble of 30 reference rows, the first ten of which exclude themselves."""
    reference = ReferenceSet.build(drawn(30, 0)[0], torch.arange(30) < 10, VIEWS, WEIGHTS)
    categories = torch.arange(30)[:, None] % SIZES
    ensemble = Ensemble.build(
        Denoiser(Exchange()).eval(),
        geometric_levels(2, 0.1, 0.4),
        noise_bank(2, 4, (2,), seed=0),
        VIEWS,
        WEIGHTS,
        reference,
        Cooccurrence.fit(categories, categories[:10], SIZES),
    )
    return replace(ensemble, **changes)


def drawn(n, seed):
    """Values, observed entries, the shares of these and categories of rows."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    observed = torch.rand(n, 3, generator=generator) < (0.7 if seed else 1.0)
    codes = (torch.rand(n, 2, generator=generator) * SIZES).long()
    share = observed.double().mean(1).clamp(min=1 / 3)
    return torch.where(observed, values, 0.0), observed, share, codes


def test_components_are_the_network_two_distances_in_each_view_and_cooccurrence():
    network, *distances, categories = made().components(*drawn(20, 1))

    assert network.shape == (20, 4)  # two levels without noise, then with it
    assert [each.shape for each in distances] == [(20, 2)] * 2
    assert categories.shape == (20, 1)


def test_without_cooccurrence_the_other_components_stay_the_same():
    rows = drawn(20, 1)

    found = made(cooccurrence=None).components(*rows)

    torch.testing.assert_close(found, made().components(*rows)[:3], rtol=0, atol=0)


def test_the_network_sees_the_first_view_alone():
    values, observed, share, codes = drawn(20, 1)
    values[observed[:, 1], 1] += 5.0

    moved = made().components(values, observed, share, codes)

    old = made().components(*drawn(20, 1))
    torch.testing.assert_close(moved[0], old[0], rtol=0, atol=0)
    torch.testing.assert_close(moved[1], old[1], rtol=0, atol=0)
    assert torch.equal((moved[2] != old[2]).any(1), observed[:, 1])


def test_errors_are_divided_by_the_observed_share_and_distances_by_its_root():
    values, observed, share, codes = drawn(20, 1)
    ensemble = made()

    found = ensemble.components(values, observed, share, codes)

    whole = ensemble.components(values, observed, torch.ones_like(share), codes)
    torch.testing.assert_close(found[0], whole[0] / share[:, None])
    for one, other in zip(found[1:3], whole[1:3], strict=True):
        torch.testing.assert_close(one, other / share.sqrt()[:, None])
    torch.testing.assert_close(found[3], whole[3], rtol=0, atol=0)


def test_rows_that_exclude_themselves_are_compared_with_the_others_alone():
    values = drawn(30, 0)[0]
    everything = torch.ones_like(values, dtype=torch.bool), torch.ones(30, dtype=torch.float64)
    codes = torch.zeros(30, 2, dtype=torch.long)

    distances = made().components(values, *everything, codes)[1:3]

    for view, found in zip(VIEWS, distances, strict=True):
        rows = (values * WEIGHTS)[:, view]
        for row in range(30):
            away = (rows - rows[row]).square().sum(1).sqrt()
            away[row] = torch.inf if row < 10 else 0.0
            torch.testing.assert_close(found[row, 0], away.min())


def test_every_level_and_every_draw_changes_the_error_of_its_level_alone():
    rows, ensemble = drawn(20, 1), made()
    before = ensemble.components(*rows)[0]

    for level in range(2):
        levels = ensemble.levels.clone()
        levels[level] *= 1.5
        found = replace(ensemble, levels=levels).components(*rows)[0]
        changed = (found != before).any(0).tolist()
        assert changed == [level == 0, level == 1] * 2
        for draw in range(4):
            noise = ensemble.noise.clone()
            noise[level, draw] += 1.0
            found = replace(ensemble, noise=noise).components(*rows)[0]
            changed = (found != before).any(0).tolist()
            assert changed == [False, False, level == 0, level == 1]


def test_a_category_of_another_weight_changes_the_distances_alone():
    rows = drawn(20, 1)

    found = made(distance_weights=WEIGHTS * torch.tensor([1, 1, 0.5])).components(*rows)

    old = made().components(*rows)
    torch.testing.assert_close(found[0], old[0], rtol=0, atol=0)
    for one, other in zip(found[1:3], old[1:3], strict=True):
        assert (one != other).double().mean() > 0.5


def test_an_ensemble_is_frozen():
    with pytest.raises(FrozenInstanceError):
        made().levels = torch.ones(2)
