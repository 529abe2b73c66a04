import pytest
import torch

from anomdiff.diffusion.noise import karras_levels
from anomdiff.diffusion.sampling import (
    dependent_groups,
    gaussian_means,
    neighbour_means,
    neighbour_weights,
    pick,
    recombine,
    sample,
)
from tests.oracles import GaussianDenoiser, correlated_gaussian


def draw(given, values, n_levels=24):
    _, covariance = correlated_gaussian(1)
    denoiser = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), covariance)
    levels = karras_levels(n_levels, 0.01, 20.0)
    return sample(denoiser, values, given, levels, torch.Generator().manual_seed(0))


def test_samples_have_the_distribution_of_the_data():
    values = torch.zeros(4000, 2, dtype=torch.float64)

    drawn = draw(torch.zeros(4000, 2, dtype=torch.bool), values)

    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(drawn.T.cov(), covariance, atol=0.08, rtol=0)
    torch.testing.assert_close(drawn.mean(0), drawn.new_zeros(2), atol=0.06, rtol=0)


def test_given_entries_condition_the_others():
    values = torch.tensor([[1.5, 0.0]], dtype=torch.float64).expand(4000, 2)
    given = torch.tensor([[True, False]]).expand(4000, 2)

    drawn = draw(given, values)

    assert torch.equal(drawn[:, 0], values[:, 0])
    assert drawn[:, 1].mean().item() == pytest.approx(0.8 * 1.5, abs=0.04)
    assert drawn[:, 1].var().item() == pytest.approx(1 - 0.8**2, abs=0.04)


def test_the_same_generator_draws_the_same_events():
    values = torch.zeros(5, 2, dtype=torch.float64)
    nothing = torch.zeros(5, 2, dtype=torch.bool)

    assert torch.equal(draw(nothing, values), draw(nothing, values))


def test_levels_that_do_not_decrease_are_refused():
    values = torch.zeros(1, 2)

    with pytest.raises(ValueError, match="decrease"):
        sample(
            torch.nn.Identity(), values, values.bool(), torch.tensor([0.1, 1.0]), torch.Generator()
        )


def test_events_that_are_noised_and_denoised_keep_their_distribution():
    start, covariance = correlated_gaussian(1000)
    denoiser = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), covariance)
    nothing = torch.zeros(1000, 2, dtype=torch.bool)
    levels = karras_levels(8, 0.01, 0.5)

    drawn = sample(denoiser, start, nothing, levels, torch.Generator().manual_seed(0), start)

    torch.testing.assert_close(drawn.T.cov(), start.T.cov(), atol=0.1, rtol=0)
    assert 0.3 < (drawn - start).std() < 0.8


def test_neighbour_weights_are_those_of_a_loop_over_the_nearest():
    generator = torch.Generator().manual_seed(0)
    memory, values = torch.randn(50, 3, generator=generator), torch.randn(4, 3, generator=generator)
    given = torch.tensor([[True, True, True], [True, False, True], [False, True, True], [True] * 3])

    found = torch.cat([w for _, w in neighbour_weights(memory, values, given, 5)])

    for row, x, seen in zip(found, values, given, strict=True):
        distances = ((x - memory) * seen).norm(dim=1)
        nearest = distances.argsort()[:5]
        bandwidth = distances[nearest[-1]] / 2
        weights = torch.zeros(50)
        weights[nearest] = (-(distances[nearest] ** 2) / bandwidth**2 / 2).softmax(0)
        torch.testing.assert_close(row, weights, atol=1e-4, rtol=1e-3)


def test_events_that_lack_what_a_row_wants_do_not_count():
    memory = torch.tensor([[0.0, 9.0], [0.1, 5.0], [3.0, 7.0]])
    lacking = torch.tensor([[False, True], [False, False], [False, False]])
    values, given = torch.zeros(1, 2), torch.tensor([[True, False]])

    means = neighbour_means(memory, values, given, 1, lacking)
    picked = pick(memory, values, given, 1, lacking, 20, torch.Generator().manual_seed(0))

    assert picked.shape == (20, 1)
    assert (picked == 1).all()
    assert means[0, 1] == memory[:, 1].mean()  # the one neighbour lacks it


def test_gaussian_means_are_the_regression_on_what_is_given():
    memory, _ = correlated_gaussian(5000)
    values = torch.tensor([[1.5, 0.0], [0.0, 0.0]], dtype=torch.float64)
    given = torch.tensor([[True, False], [False, False]])

    means = gaussian_means(memory, values, given)

    assert means[0, 0] != memory[:, 0].mean()
    assert means[0, 1].item() == pytest.approx(0.8 * 1.5, abs=0.06)
    torch.testing.assert_close(means[1], memory.mean(0))


def test_columns_that_give_each_other_away_are_one_group_and_others_are_alone():
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    memory = torch.cat([x, (x[:, :1] > 0).float(), x[:, :1] + 0.1 * x[:, 1:2]], dim=1)

    group = dependent_groups(memory, torch.tensor([0, 1, 2, 3, 4]), 0.3)

    assert group[0] == group[3] == group[4]
    assert len(group.unique()) == 3


def test_recombined_events_have_whole_groups_of_one_event():
    memory = torch.arange(4.0)[:, None].expand(4, 3)
    picked = torch.tensor([[0, 3], [2, 1]])

    mixed = recombine(memory, picked, torch.tensor([0, 1, 0]))

    assert mixed.tolist() == [[0.0, 2.0, 0.0], [3.0, 1.0, 3.0]]
