import pytest
import torch
from torch import nn

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.noise import geometric_levels, sign_bank
from anomdiff.scoring.reconstruction import row_sizes
from anomdiff.scoring.reconstruction_component import HIGH, LOW, by_noise

DISTANCES = torch.tensor([True, False, True])


class Bent(nn.Module):
    """A network whose answer is no linear function of the noisy row."""

    def forward(self, x, given, c_noise):
        return x.flip(1).tanh()


@pytest.fixture
def denoiser():
    return Denoiser(Bent()).eval()


def rows():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(15, 3, generator=generator, dtype=torch.float64)
    observed = torch.rand(15, 3, generator=generator) < 0.8
    share = observed.double().mean(1).clamp(min=1 / 3)
    return torch.where(observed, values, 0.0), observed, share


def made(n_levels=5, low=0.05, high=4.0):
    levels = geometric_levels(n_levels, low, high)
    return by_noise(levels, sign_bank(n_levels, 4, (3,), seed=0), DISTANCES)


def test_levels_are_parted_into_low_middle_and_high_ones():
    low, middle, high = made()

    assert (low.levels < LOW).all()
    assert ((middle.levels >= LOW) & (middle.levels <= HIGH)).all()
    assert (high.levels > HIGH).all()
    together = torch.cat([low.levels, middle.levels, high.levels])
    torch.testing.assert_close(together, geometric_levels(5, 0.05, 4.0))


def test_a_part_without_levels_is_no_component():
    assert len(made(2, 0.05, 0.15)) == 1
    assert len(made(2, 0.05, 4.0)) == 2


def test_the_middle_is_free_of_noise_and_the_others_are_not():
    low, middle, high = made()

    assert (middle.noise == 0).all()
    assert middle.noise.shape == (1, 1, 3)
    for component in (low, high):
        assert (component.noise.abs() == 1).all()


def test_low_levels_add_logarithms_of_all_entries_and_high_ones_the_distances_themselves(denoiser):
    values, observed, share = rows()

    for component in made():
        found = component.errors(denoiser, values, observed, share)

        for row in range(len(values)):
            for i, sigma in enumerate(component.levels.tolist()):
                entries = torch.zeros(3, dtype=torch.float64)
                for draw in component.noise[i].double():
                    noisy = (values[row] + sigma * draw)[None]
                    nothing = torch.zeros(1, 3, dtype=torch.bool)
                    level = torch.tensor([sigma], dtype=torch.float64)
                    error = (denoiser(noisy, level, nothing)[0] - values[row]) ** 2
                    entries += error * (1 + sigma**-2) / len(component.noise[i])
                entries = torch.where(observed[row], entries, 0.0)
                if component.compressed:
                    naive = (1 + entries).log().sum() / share[row]
                else:
                    naive = (entries[DISTANCES].sum() / share[row]).sqrt()
                torch.testing.assert_close(found[row, i], naive, rtol=1e-5, atol=1e-6)


def test_the_size_of_a_row_grows_with_its_furthest_entry():
    errors = torch.tensor([[[9.0, 16.0]], [[900.0, 1600.0]]])

    sizes = row_sizes(errors, torch.tensor([1.0, 0.25]))

    torch.testing.assert_close(sizes, torch.tensor([[5.0], [100.0]]))
