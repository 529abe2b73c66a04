import numpy as np
import pytest
import torch

from anomdiff.conditional.draws import generator_of, quantile_map
from anomdiff.diffusion.noise import seeded


@pytest.mark.parametrize("n_quantiles", [None, 101])
def test_mapped_draws_have_the_quantiles_of_the_reference(n_quantiles):
    drawn = torch.randn(2000, generator=seeded(0), dtype=torch.float64)
    reference = torch.rand(3000, generator=seeded(1), dtype=torch.float64).square()

    mapped = quantile_map(drawn, reference, n_quantiles)(drawn)

    shares = np.linspace(0.05, 0.95, 19)
    wanted = np.quantile(reference.numpy(), shares)
    np.testing.assert_allclose(np.quantile(mapped.numpy(), shares), wanted, atol=0.005)
    assert reference.min() <= mapped.min()
    assert mapped.max() <= reference.max()


@pytest.mark.parametrize("n_quantiles", [None, 101])
def test_the_map_keeps_the_order_and_takes_any_shape(n_quantiles):
    drawn = torch.randn(200, 5, generator=seeded(0), dtype=torch.float64)
    to_reference = quantile_map(drawn, drawn.exp(), n_quantiles)

    mapped = to_reference(drawn)

    assert mapped.shape == drawn.shape
    order = drawn.flatten().argsort()
    assert (mapped.flatten()[order].diff() >= 0).all()


def test_a_sample_is_mapped_onto_itself():
    drawn = torch.randn(50, generator=seeded(0), dtype=torch.float64)

    torch.testing.assert_close(quantile_map(drawn, drawn, 1001)(drawn), drawn, atol=0.05, rtol=0)


def test_the_same_random_state_gives_the_same_draws():
    first, again, other = (torch.rand(3, generator=generator_of(seed)) for seed in (3, 3, 4))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
