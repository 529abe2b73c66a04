"""The generated plant: attacks stay in the range of their sensors, and the figures are AP."""

import numpy as np
import pytest

from benchmarks.series import plants
from benchmarks.series.alarms import machine_rate
from benchmarks.series.plants import ATTACK_STEPS, N_CHANNELS, N_STATES, STEPS_PER_ATTACK
from tests.settings import TINY_SERIES


def test_a_plant_is_the_same_for_the_same_seed_and_another_for_another():
    one, same, other = (plants.plant(300, seed, 500) for seed in (0, 0, 1))

    np.testing.assert_array_equal(one.scored, same.scored)
    assert not np.array_equal(one.scored, other.scored)
    assert one.train.shape == (300, N_CHANNELS)
    assert one.scored.shape == (500, N_CHANNELS)
    assert set(np.unique(one.train[:, -N_STATES:])) <= {0.0, 1.0}


def test_attacks_move_two_sensors_each_and_nothing_else():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(4 * STEPS_PER_ATTACK, N_CHANNELS))

    values, marked = plants.attacked(normal, rng)

    changed = values != normal
    assert not changed[~marked].any()
    assert not changed[:, -N_STATES:].any()
    for i in range(4):
        part = slice(i * STEPS_PER_ATTACK, (i + 1) * STEPS_PER_ATTACK)
        assert changed[part].any(0).sum() == 2
        assert ATTACK_STEPS[0] <= marked[part].sum() < ATTACK_STEPS[1]
        steps = np.flatnonzero(marked[part])
        assert steps[-1] - steps[0] + 1 == len(steps)
    assert np.abs(values).max() < 8  # as of offsets of at most two standard deviations


@pytest.mark.parametrize("method", plants.METHODS)
def test_a_rival_ranks_a_step_far_from_all_training_first(method):
    rng = np.random.default_rng(0)
    train, scored = rng.normal(size=(200, 5)), rng.normal(size=(100, 5))
    scored[50] += 30

    scores = plants.METHODS[method](train)(scored)

    assert abs(int(scores.argmax()) - 50) <= plants.WINDOW // 2
    assert scores.shape == (100,)


def test_figures_have_a_row_for_each_method_and_a_line_for_all():
    figures = plants.measure([0], 1, TINY_SERIES, lengths=[150], n_scored=STEPS_PER_ATTACK)

    assert [*figures["method"]] == ["anomdiff", *plants.METHODS]
    assert figures["AP"].between(0, 1).all()
    assert "150 steps: anomdiff 0." in plants.summary(figures)


def test_the_alarm_rate_of_healthy_machines_is_a_share():
    rate, seconds = machine_rate(2, 0, {"max_iter": 1, "window_lengths": (8,)})

    assert 0 <= rate < 0.2
    assert seconds > 0
