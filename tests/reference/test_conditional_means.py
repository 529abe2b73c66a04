import pytest
import torch

from anomdiff.diffusion.noise import seeded
from anomdiff.reference.conditional_means import (
    dependent_groups,
    gaussian_means,
    nearest_distances,
    neighbour_means,
    neighbour_weights,
    pick,
    recombine,
)
from tests.oracles import correlated_gaussian


def test_neighbour_weights_are_those_of_a_loop_over_the_nearest():
    generator = seeded(0)
    reference, values = (
        torch.randn(50, 3, generator=generator),
        torch.randn(4, 3, generator=generator),
    )
    given = torch.tensor([[True, True, True], [True, False, True], [False, True, True], [True] * 3])

    found = torch.cat([w for _, w in neighbour_weights(reference, values, given, 5)])

    for row, x, seen in zip(found, values, given, strict=True):
        distances = ((x - reference) * seen).norm(dim=1)
        nearest = distances.argsort()[:5]
        bandwidth = distances[nearest[-1]] / 2
        weights = torch.zeros(50)
        weights[nearest] = (-(distances[nearest] ** 2) / bandwidth**2 / 2).softmax(0)
        torch.testing.assert_close(row, weights, atol=1e-4, rtol=1e-3)


def test_events_that_lack_what_a_row_wants_do_not_count():
    reference = torch.tensor([[0.0, 9.0], [0.1, 5.0], [3.0, 7.0]])
    missing = torch.tensor([[False, True], [False, False], [False, False]])
    values, given = torch.zeros(1, 2), torch.tensor([[True, False]])

    means = neighbour_means(reference, values, given, 1, missing)
    picked = pick(reference, values, given, 1, 20, seeded(0), missing)

    assert picked.shape == (20, 1)
    assert (picked == 1).all()
    assert means[0, 1] == reference[:, 1].mean()  # the one neighbour lacks it


def test_gaussian_means_are_the_regression_on_what_is_given():
    reference, _ = correlated_gaussian(5000)
    values = torch.tensor([[1.5, 0.0], [0.0, 0.0]], dtype=torch.float64)
    given = torch.tensor([[True, False], [False, False]])

    means = gaussian_means(reference, values, given)

    assert means[0, 0] != reference[:, 0].mean()
    assert means[0, 1].item() == pytest.approx(0.8 * 1.5, abs=0.06)
    torch.testing.assert_close(means[1], reference.mean(0))


def test_columns_that_give_each_other_away_are_one_group_and_others_are_alone():
    x = torch.randn(500, 3, generator=seeded(0))
    reference = torch.cat([x, (x[:, :1] > 0).float(), x[:, :1] + 0.1 * x[:, 1:2]], dim=1)

    group = dependent_groups(reference, torch.tensor([0, 1, 2, 3, 4]), 0.3)

    assert group[0] == group[3] == group[4]
    assert len(group.unique()) == 3


def test_recombined_events_have_whole_groups_of_one_event():
    reference = torch.arange(4.0)[:, None].expand(4, 3)
    picked = torch.tensor([[0, 3], [2, 1]])

    mixed = recombine(reference, picked, torch.tensor([0, 1, 0]))

    assert mixed.tolist() == [[0.0, 2.0, 0.0], [3.0, 1.0, 3.0]]


def test_nearest_distances_are_those_of_a_loop():
    events, reference = (torch.randn(n, 4, generator=seeded(n)).double() for n in (300, 20))

    found = nearest_distances(events, reference)

    loop = torch.stack([(reference - event).norm(dim=1).min() for event in events])
    torch.testing.assert_close(found, loop)
