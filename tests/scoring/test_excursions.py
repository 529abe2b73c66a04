import itertools

import numpy as np
import pytest
import torch

from anomdiff.scoring.excursions import excursions


def naive(ratios, drawdown, most_steps):
    """Step by step: runs of positive steps are taken whole, or cut after the most steps."""
    found, begin = [], 0
    while begin < len(ratios):
        if ratios[begin] <= 0:
            begin += 1
            continue
        step, total, peak, stop = begin, 0.0, 0.0, begin
        while step < len(ratios):
            if ratios[step] <= 0:
                total += ratios[step]
                step += 1
                if total <= 0 or peak - total >= drawdown:
                    break
                continue
            run = list(itertools.takewhile(lambda x: x > 0, ratios[step : step + most_steps]))
            if (step + len(run) - begin) > most_steps:
                break
            total, step = total + sum(run), step + len(run)
            if total > peak:
                peak, stop = total, step
        found.append((begin, stop, peak))
        begin = stop
    return found


def ruzzo_tompa(ratios):
    """All maximal segments: starts and stops."""
    sums, kept = np.concatenate([[0.0], np.cumsum(ratios)]), []
    for step in np.flatnonzero(np.asarray(ratios) > 0):
        start, stop = int(step), int(step) + 1
        while True:
            lower = [i for i, (a, _) in enumerate(kept) if sums[a] < sums[start]]
            if not lower or sums[kept[lower[-1]][1]] >= sums[stop]:
                break
            start = kept[lower[-1]][0]
            kept = kept[: lower[-1]]
        kept.append((start, stop))
    return kept


def whole_numbers(n, bias):
    """Ratios whose sums are exact, ties among them."""
    return torch.randint(-6 + bias, 6 + bias, (n,)).double().numpy()


@pytest.mark.parametrize("most_steps", [1, 5, 40, 1000])
@pytest.mark.parametrize("drawdown", [1.0, 7.0, 1e9])
@pytest.mark.parametrize("bias", [-3, 0, 4])
def test_segments_equal_the_naive_loop(bias, drawdown, most_steps):
    ratios = whole_numbers(400, bias)

    found = excursions(ratios, drawdown, most_steps)

    assert found == naive(ratios.tolist(), drawdown, most_steps)


@pytest.mark.parametrize("most_steps", [5, 1000])
def test_segments_are_apart_in_order_not_too_long_and_have_the_totals_of_their_steps(most_steps):
    ratios = torch.randn(500).double().numpy()

    found = excursions(ratios, 3.0, most_steps)

    for each in found:
        assert 0 < each.stop - each.start <= most_steps
        assert each.total == pytest.approx(ratios[each.start : each.stop].sum())
        assert each.total > 0
    assert all(a.stop <= b.start for a, b in itertools.pairwise(found))
    covered = np.zeros(500, dtype=bool)
    for each in found:
        covered[each.start : each.stop] = True
    assert covered[ratios > 0].all()


def test_without_bounds_they_are_the_maximal_segments_of_ruzzo_and_tompa():
    ratios = torch.randn(300).double().numpy() - 0.1

    found = excursions(ratios, np.inf, 300)

    assert [(each.start, each.stop) for each in found] == ruzzo_tompa(ratios)


def test_positive_ratios_are_cut_after_the_most_steps_and_negative_ones_hold_no_segment():
    found = excursions(np.ones(25), 1.0, 10)

    assert found == [(0, 10, 10.0), (10, 20, 10.0), (20, 25, 5.0)]
    assert excursions(-np.ones(25)) == []
    assert excursions(np.zeros(25)) == []
    assert excursions(np.zeros(0)) == []


def test_a_segment_ends_where_the_sum_has_fallen_by_the_drawdown():
    ratios = np.array([9.0, -4.0, 9.0])

    assert excursions(ratios, drawdown=4.5) == [(0, 3, 14.0)]
    assert excursions(ratios, drawdown=4.0) == [(0, 1, 9.0), (2, 3, 9.0)]
