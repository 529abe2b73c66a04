import copy

import numpy as np
import pytest
import torch

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.diffusion.networks import ResidualMLP
from tests.series import waves
from tests.settings import SMALL, TINY, TINY_SERIES
from tests.tables import mixed_table


def _output(network, x):
    given = torch.zeros_like(x, dtype=torch.bool)
    return network.eval()(x, given, torch.zeros(len(x)))


def _random(n_coords):
    network = ResidualMLP(n_coords, 16, 2)
    for tensor in network.parameters():
        torch.nn.init.normal_(tensor, std=0.3)
    return network


def test_a_network_that_takes_over_all_entries_in_another_order_computes_the_same():
    other, network, x = _random(4), _random(4), torch.randn(9, 4)
    places = [2, 0, 3, 1]

    network.take_over(other, places)

    torch.testing.assert_close(_output(network, x[:, places]), _output(other, x)[:, places])


def test_an_entry_that_is_new_is_predicted_as_an_untrained_network_does():
    other, network, x = _random(3), ResidualMLP(4, 16, 2), torch.randn(9, 4)

    network.take_over(other, [0, 1, -1, 2])

    # What the new entry holds reaches the others by untrained weights: without it, nothing does.
    x[:, 2] = 0
    found = _output(network, x)
    torch.testing.assert_close(found[:, [0, 1, 3]], _output(other, x[:, [0, 1, 3]]))
    assert not found[:, 2].any()


def test_a_warm_start_takes_a_quarter_of_the_steps_and_begins_where_the_fit_ended():
    first, second = mixed_table(800, seed=0), mixed_table(800, seed=1)
    cold = TabularDetector(**SMALL).fit(first)
    steps, quarter = SMALL["max_iter"], SMALL["max_iter"] // 4

    warm = copy.deepcopy(cold).set_params(warm_start=True).fit(second)
    short = TabularDetector(**SMALL | {"max_iter": quarter}).fit(second)

    losses = [each.history_["validation_loss"].min() for each in (cold, warm, short)]
    assert (cold.n_iter_, warm.n_iter_) == (steps, quarter)
    assert losses[1] < losses[2]
    assert losses[1] < losses[0] + 0.05


def test_a_first_fit_is_the_same_with_a_warm_start():
    table = mixed_table(200, seed=0)

    plain, warm = (TabularDetector(warm_start=w, **TINY).fit(table) for w in (False, True))

    np.testing.assert_array_equal(plain.score_samples(table), warm.score_samples(table))


def test_categories_and_columns_may_be_others_after_a_warm_start():
    detector = TabularDetector(warm_start=True, **TINY).fit(mixed_table(300, seed=0))
    changed = mixed_table(300, seed=1).rename(columns={"count": "number"})
    changed["kind"] = changed["kind"].replace("tool", "toy")

    detector.fit(changed)

    assert "number" in detector.columns_
    assert len(detector.score_frame(changed)) == 300


def test_the_network_that_was_fitted_before_is_not_changed():
    detector = TabularDetector(warm_start=True, **TINY).fit(mixed_table(200, seed=0))
    model = detector.model_
    weights = {name: w.clone() for name, w in model.denoiser.state_dict().items()}

    detector.fit(mixed_table(200, seed=1))

    assert all(weights[name].equal(w) for name, w in model.denoiser.state_dict().items())


def test_another_width_is_refused_in_a_sentence():
    detector = TabularDetector(**TINY).fit(mixed_table(200, seed=0))

    with pytest.raises(ValueError, match=r"warm_start needs the width and n_blocks of .* got"):
        detector.set_params(warm_start=True, width=20).fit(mixed_table(200, seed=1))
    with pytest.raises(TypeError, match="warm_start must be True or False; got 'yes'"):
        detector.set_params(warm_start="yes").fit(mixed_table(200, seed=1))


def test_series_start_from_the_fitted_network_too():
    detector = TimeSeriesDetector(alpha=0.05, **TINY_SERIES).fit(waves(300, seed=0))
    model, later = detector.model_, waves(300, seed=1)

    warm = copy.deepcopy(detector).set_params(warm_start=True).fit(later)

    assert (detector.n_iter_, warm.n_iter_) == (20, 5)
    cold = TimeSeriesDetector(alpha=0.05, **TINY_SERIES | {"max_iter": 5}).fit(later)
    moved = [_distance(each.model_.denoiser, model.denoiser) for each in (warm, cold)]
    assert moved[0] < moved[1]


def _distance(one, other):
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return sum(float((a - b).square().sum()) for a, b in pairs)
