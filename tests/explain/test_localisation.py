import numpy as np
import pytest
import torch

from anomdiff.conditional.intervals import ConditionalIntervals, Expected
from anomdiff.explain.localisation import anomalous_cells, joined, nearest_run, runs, widened

N_STEPS = 40


class FlatIntervals(ConditionalIntervals):
    """Expects 0 of every hidden cell, within 1."""

    def __init__(self, values, observed=None):
        self.values = values
        self.observed = torch.ones_like(values, dtype=torch.bool) if observed is None else observed

    def hidden(self, hidden):
        zero = torch.zeros_like(self.values)
        return Expected(zero, zero - 1, zero + 1)


def series(**changes):
    """Two channels of zeros, some cells changed."""
    values = torch.zeros(N_STEPS, 2).double()
    for channel, steps in changes.items():
        values[steps, ["first", "second"].index(channel)] = 5.0
    return values


def blurred(values, reach):
    """Contributions as windows make them: what is wrong shows in the steps around too."""
    return widened(values > 0, reach).double() * values.max() ** 2 + values**2


@pytest.mark.parametrize("join", [0, 1, 3])
def test_runs_are_those_of_a_naive_search(join):
    flags = np.random.default_rng(join).random(200) < 0.3

    found, last = [], None
    for step in np.flatnonzero(flags).tolist():
        if last is None or step - last > join + 1:
            found.append([step, step + 1])
        found[-1][1], last = step + 1, step

    assert runs(flags, join) == [tuple(run) for run in found]
    assert runs(np.zeros(5, dtype=bool), join) == []


@pytest.mark.parametrize(("step", "run"), [(0, (2, 4)), (3, (2, 4)), (5, (2, 4)), (7, (8, 9))])
def test_the_nearest_run_holds_the_step_or_is_the_least_away(step, run):
    flags = np.isin(np.arange(10), [2, 3, 8])

    assert nearest_run(flags, step) == run


def test_gaps_are_joined_and_cells_widened_within_their_channel():
    cells = torch.zeros(10, 2, dtype=torch.bool)
    cells[[2, 5, 9], 0] = True

    assert torch.nonzero(joined(cells, 2)[:, 0])[:, 0].tolist() == [2, 3, 4, 5, 9]
    assert torch.nonzero(widened(cells, 1)[:, 0])[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 8, 9]
    assert not joined(cells, 2)[:, 1].any()
    assert not widened(cells, 1)[:, 1].any()


@pytest.mark.parametrize("reach", [0, 3, 8])
def test_the_anomalous_cells_are_those_off_however_far_windows_blur(reach):
    values = series(first=slice(18, 22))
    alarm = (18 - reach, 22 + reach)

    cells = anomalous_cells(FlatIntervals(values), blurred(values, reach), alarm, join=2)

    torch.testing.assert_close(cells, values > 0)


def test_several_channels_are_anomalous_where_several_contribute():
    values = series(first=slice(18, 22), second=slice(19, 21))

    cells = anomalous_cells(FlatIntervals(values), blurred(values, 3), (15, 25), join=2)

    torch.testing.assert_close(cells, values > 0)


def test_the_farthest_cell_is_anomalous_even_if_none_is_far():
    values = series(first=[20]) / 10

    cells = anomalous_cells(FlatIntervals(values), blurred(values, 3), (17, 24), join=2)

    torch.testing.assert_close(cells, values > 0)


def test_missing_cells_are_never_anomalous():
    values = series(first=slice(18, 22))
    observed = torch.ones_like(values, dtype=torch.bool)
    observed[19, 0] = False

    intervals = FlatIntervals(values.where(observed, 0.0), observed)
    cells = anomalous_cells(intervals, blurred(values, 3), (15, 25), join=2)

    torch.testing.assert_close(cells, (values > 0) & observed)
