from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from torch import nn

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.noise import geometric_levels, noise_bank, seeded
from anomdiff.reference.reference_set import ReferenceSet
from anomdiff.reference.subset_search import parts
from anomdiff.scoring.cooccurrence import Cooccurrence
from anomdiff.scoring.ensemble import Ensemble
from anomdiff.scoring.reconstruction_component import by_noise

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
    levels, noise = geometric_levels(5, 0.05, 4.0), noise_bank(5, 4, (2,), seed=0)
    ensemble = Ensemble.build(
        Denoiser(Exchange()).eval(),
        VIEWS[0],
        by_noise(levels, noise, torch.tensor([True, False])),
        VIEWS,
        WEIGHTS,
        reference,
        [parts(30, VIEWS[0], seeded(0))],
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


def test_components_are_those_of_the_network_two_distances_in_each_view_subsets_and_categories():
    found = made().components(*drawn(20, 1))

    n_levels = [2, 1, 2, *[1] * 4, 1, 1]
    assert [each.shape for each in found] == [(20, n) for n in n_levels]


def test_without_cooccurrence_the_other_components_stay_the_same():
    rows = drawn(20, 1)

    found = made(cooccurrence=None).components(*rows)

    torch.testing.assert_close(found, made().components(*rows)[:8], rtol=0, atol=0)


def test_the_network_sees_its_own_view_alone():
    values, observed, share, codes = drawn(20, 1)
    values[observed[:, 1], 1] += 5.0

    moved = made().components(values, observed, share, codes)

    old = made().components(*drawn(20, 1))
    for i in (0, 1, 2, 3, 4, 7):
        torch.testing.assert_close(moved[i], old[i], rtol=0, atol=0)
    assert torch.equal((moved[5] != old[5]).any(1), observed[:, 1])


def test_errors_are_divided_by_the_observed_share_and_distances_by_its_root():
    values, observed, share, codes = drawn(20, 1)
    ensemble = made()

    found = ensemble.components(values, observed, share, codes)

    whole = ensemble.components(values, observed, torch.ones_like(share), codes)
    factors = [share, share, *[share.sqrt()] * 5]
    for one, other, factor in zip(found, whole, factors, strict=False):
        torch.testing.assert_close(one, other / factor[:, None])
    torch.testing.assert_close(found[8], whole[8], rtol=0, atol=0)


def test_rows_that_exclude_themselves_are_compared_with_the_others_alone():
    values = drawn(30, 0)[0]
    everything = torch.ones_like(values, dtype=torch.bool), torch.ones(30, dtype=torch.float64)
    codes = torch.zeros(30, 2, dtype=torch.long)

    found = made().components(values, *everything, codes)

    for view, distances in zip(VIEWS, (found[3], found[5]), strict=True):
        rows = (values * WEIGHTS)[:, view]
        for row in range(30):
            away = (rows - rows[row]).square().sum(1).sqrt()
            away[row] = torch.inf if row < 10 else 0.0
            torch.testing.assert_close(distances[row, 0], away.min())


@pytest.mark.parametrize("i", range(3))
def test_every_level_and_every_draw_changes_the_error_of_its_level_alone(i):
    rows, ensemble = drawn(20, 1), made()
    component, before = ensemble.reconstructions[i], ensemble.components(*rows)

    def changed(**changes):
        network = list(ensemble.reconstructions)
        network[i] = replace(component, **changes)
        found = replace(ensemble, reconstructions=network).components(*rows)
        return [(one != other).any(0).tolist() for one, other in zip(found, before, strict=True)]

    for level in range(len(component.levels)):
        expected = [[False] * each.shape[1] for each in before]
        expected[i][level] = True
        levels, noise = component.levels.clone(), component.noise.clone()
        levels[level] *= 1.5
        assert changed(levels=levels) == expected
        for draw in range(component.noise.shape[1]):
            noise = component.noise.clone()
            noise[level, draw] += 1.0
            assert changed(noise=noise) == expected


def test_a_category_of_another_weight_changes_the_distances_alone():
    rows = drawn(20, 1)

    found = made(distance_weights=WEIGHTS * torch.tensor([1, 1, 0.5])).components(*rows)

    old = made().components(*rows)
    for i in (0, 1, 2, 8):
        torch.testing.assert_close(found[i], old[i], rtol=0, atol=0)
    for i in range(3, 7):
        assert (found[i] != old[i]).double().mean() > 0.5


def test_an_ensemble_is_frozen():
    with pytest.raises(FrozenInstanceError):
        made().views = torch.ones(2)
