import numpy as np
import pandas as pd
import pytest
import torch

from anomdiff.conditional.intervals import ConditionalIntervals, Expected
from tests.series import waves


def intervals(detector, frame):
    """Intervals of the only segment of a frame."""
    (segment,) = detector.model_.encode(frame)
    return ConditionalIntervals(detector.model_, segment.values, segment.observed)


def test_given_cells_stay_and_hidden_ones_come_near_what_they_were(wide):
    found = intervals(wide, waves(200, seed=1))
    hidden = torch.zeros_like(found.observed)
    hidden[50:58, 0], hidden[150:153] = True, True

    expected = found.hidden(hidden)

    assert torch.equal(expected.mean[~hidden], found.values[~hidden])
    assert (expected.mean - found.values)[hidden].std() < 0.2  # the waves have 1
    assert (expected.low <= expected.mean).all()
    assert (expected.mean <= expected.high).all()


def test_what_hidden_cells_were_does_not_change_what_is_expected(wide):
    frame = waves(200, seed=1)
    hidden = torch.zeros(200, 3, dtype=torch.bool)
    hidden[50:58, 0] = True
    wrong = frame.mask(hidden.numpy(), 9.0)

    one, other = (intervals(wide, each).hidden(hidden) for each in (frame, wrong))

    for first, second in zip(one, other, strict=True):
        torch.testing.assert_close(first, second)


def test_a_step_alone_is_expected_nearly_as_if_it_were_the_only_hidden_cell(wide):
    found = intervals(wide, waves(200, seed=1))
    hidden = torch.zeros_like(found.observed)
    hidden[100, 1] = True

    alone, among = found.alone(np.array([100]), 1), found.hidden(hidden)

    for one, other in zip(alone, among, strict=True):
        assert abs(one[0] - other[100, 1]) < 0.03  # their windows begin a step apart


def test_nine_of_ten_normal_steps_lie_inside(process):
    detector, values = process
    found = intervals(detector, pd.DataFrame(values[3000:], columns=["x0"]))

    expected = found.alone(np.arange(20, 980), 0)

    inside = expected.outside(found.values[20:980, 0]) <= 1
    assert inside.double().mean().item() == pytest.approx(0.9, abs=0.06)


def test_a_segment_shorter_than_all_windows_has_means_but_no_intervals(wide):
    found = intervals(wide, waves(5, seed=1))
    hidden = torch.zeros_like(found.observed)
    hidden[2] = True

    expected, alone = found.hidden(hidden), found.alone(np.array([2]), 0)

    torch.testing.assert_close(expected.mean[2], (found.values[1] + found.values[3]) / 2)
    assert expected.low[2].isnan().all()
    assert all(part.isnan().all() for part in alone)


def test_distance_is_counted_in_halves_of_the_interval():
    expected = Expected(*(torch.tensor([value]) for value in (1.0, 0.0, 3.0)))

    off = [expected.outside(torch.tensor([value])).item() for value in (-1.0, 1.0, 3.0, 5.0)]

    assert off == [2.0, 0.0, 1.0, 2.0]
