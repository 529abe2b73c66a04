import pytest
import torch

from anomdiff.scoring.frozen_runs import LEAST_MORE, longest_usual, over_long, run_lengths

TOGETHER = 64


def held(n, size):
    """A channel that holds each value for some steps, at random up to a size."""
    values, steps = torch.randn(n, dtype=torch.float64), torch.randint(1, size + 1, (n,))
    return values.repeat_interleave(steps)[:n]


def test_run_lengths_are_those_of_a_loop_and_do_not_depend_on_where_a_series_is_cut():
    values = torch.stack([held(200, 4), held(200, 9)], dim=1)
    values[50:53, 0] = torch.nan

    found = run_lengths(values)

    same = [*zip(values[:-1].tolist(), values[1:].tolist(), strict=True)]
    naive = torch.ones(200, 3, dtype=torch.long)
    for step, (old, new) in enumerate(same, start=1):
        equal = [a == b for a, b in zip(old, new, strict=True)]
        for place, each in enumerate([*equal, all(equal)]):
            naive[step, place] = naive[step - 1, place] + 1 if each else 1
    assert torch.equal(found, naive)
    cut = int(torch.randint(1, 199, ()))
    first = run_lengths(values[:cut])
    rest = run_lengths(values[cut:], values[cut - 1 : cut], first[-1])
    assert torch.equal(torch.cat([first, rest]), found)


@pytest.mark.parametrize("size", [1, 5, 50])
def test_no_run_of_training_is_too_long(size):
    runs = run_lengths(torch.stack([held(2000, size), held(2000, 3)], dim=1))

    usual = longest_usual([runs])

    assert (usual >= runs.max(0).values + LEAST_MORE).all()
    assert not over_long(runs, usual, TOGETHER).any()


@pytest.mark.parametrize("length", [8, 16, 200])
def test_steps_of_a_frozen_channel_are_told_and_no_others(length):
    values = torch.randn(600, 2, dtype=torch.float64)
    usual = longest_usual([run_lengths(values)])
    values[:length, 1] = values[0, 1]

    longer = over_long(run_lengths(values), usual, TOGETHER * 10)

    assert torch.equal(longer > 0, torch.stack([torch.zeros(600), torch.arange(600) < length], 1))


def test_what_is_too_long_is_relative_to_the_runs_of_training():
    values = torch.stack([held(2000, 30), torch.randn(2000, dtype=torch.float64)], dim=1)
    usual = longest_usual([run_lengths(values)])

    values[500:540] = values[500]

    found = over_long(run_lengths(values), usual, 2000)[500:540]
    assert not found[:, 0].any()
    assert found[:, 1].all()


def test_all_channels_at_once_are_told_where_each_often_stands_still():
    values = torch.stack([held(3000, 40) for _ in range(4)], dim=1)
    usual = longest_usual([run_lengths(values)])
    n = int(usual[-1]) + 2
    assert n < usual[:-1].min()

    values[1000 : 1000 + n] = values[1000]

    found = over_long(run_lengths(values), usual, 3000)
    assert found[1000 : 1000 + n].any(1).all()
    assert not found[:900].any()


def test_steps_of_a_block_do_not_depend_on_those_after_it():
    values = torch.randn(3 * TOGETHER, 1, dtype=torch.float64)
    usual = longest_usual([run_lengths(values)])
    values[TOGETHER - 4 : TOGETHER + 20] = 0.5

    whole = over_long(run_lengths(values), usual, TOGETHER)

    runs = run_lengths(values)[:TOGETHER]
    assert torch.equal(over_long(runs, usual, TOGETHER), whole[:TOGETHER])
    assert whole[TOGETHER : TOGETHER + 20].all()


def test_frozen_sensors_of_a_series_with_anomalies_are_not_usual():
    values = torch.randn(2000, 2, dtype=torch.float64)
    normal = longest_usual([run_lengths(values)])
    for start in (300, 800, 1500):
        values[start : start + 60, 1] = values[start, 1]
    runs = run_lengths(values)

    screened = longest_usual([runs], with_anomalies=True)

    torch.testing.assert_close(screened, normal, rtol=0, atol=1)
    assert longest_usual([runs])[1] > 60
