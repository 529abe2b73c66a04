import numpy as np
import pytest
import torch

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.reference.sliding_windows import LEAST_SHARE, cut_windows, fold
from anomdiff.reference.window_bank import LevelMemory, WindowMemory
from anomdiff.scoring.window_scores import (
    NETWORK_WEIGHT,
    WindowCalibration,
    WindowNetwork,
    without_optimism,
)
from tests.oracles import Zero

LENGTH = 6


def steps(n, n_channels, seen=1.0):
    """Scaled steps, and which are observed."""
    observed = torch.rand(n, n_channels) < seen
    return torch.where(observed, torch.randn(n, n_channels, dtype=torch.float64), 0.0), observed


def naive_windows(values, observed):
    """Windows one by one, as arrays of shape (channel, time) without their mean, and masks."""
    for start in range(len(values) - LENGTH + 1):
        x, seen = (part[start : start + LENGTH].T.numpy() for part in (values, observed))
        count = np.maximum(seen.sum(1, keepdims=True), 1)
        yield np.where(seen, x - x.sum(1, keepdims=True) / count, 0.0), seen


def naive_energies(values, observed, memory, places=None, events=naive_windows):
    found = []
    for i, (x, seen) in enumerate(events(values, observed)):
        best, energy = np.inf, np.full(len(x), np.nan)
        for row, place in zip(
            memory.rows.reshape(-1, *x.shape).numpy(), memory.places, strict=True
        ):
            if places is not None and abs(int(place - places[i])) < LENGTH:
                continue
            miss = np.where(seen, row - x, 0.0) ** 2
            if miss.sum() < best:
                best, energy = miss.sum(), miss.sum(1) / seen.mean() / len(x)
        found.append(energy if seen.mean() >= LEAST_SHARE else np.full(len(x), np.nan))
    return torch.tensor(np.array(found))


def remember(values, observed, at=slice(None)):
    windows, _ = cut_windows(values, observed, LENGTH)
    return WindowMemory(LENGTH, windows.flatten(1)[at], torch.arange(len(windows))[at].contiguous())


@pytest.mark.parametrize("seen", [1.0, 0.6])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_energies_equal_the_naive_loop(seen, n_channels):
    memory = remember(*steps(40, n_channels, seen))
    values, observed = steps(60, n_channels, seen)

    energies = memory.energies(values, observed)

    torch.testing.assert_close(energies, naive_energies(values, observed, memory), equal_nan=True)


@pytest.mark.parametrize("seen", [1.0, 0.7])
@pytest.mark.parametrize("every", [1, 3])
def test_windows_of_training_are_not_vouched_for_by_those_that_overlap(seen, every):
    values, observed = steps(60, 2, seen)
    memory = remember(values, observed, at=slice(None, None, every))
    places = torch.arange(60 - LENGTH + 1)

    energies = memory.energies(values, observed, places)

    naive = naive_energies(values, observed, memory, places)
    torch.testing.assert_close(energies, naive, equal_nan=True)


def test_nothing_is_known_where_all_remembered_windows_overlap():
    values, observed = steps(9, 2)

    energies = remember(values, observed).energies(values, observed, torch.arange(4))

    assert energies.isnan().all()


def test_energies_do_not_depend_on_the_number_of_windows_at_once(monkeypatch):
    memory = remember(*steps(40, 2))
    values, observed = steps(60, 2, 0.8)
    whole = memory.energies(values, observed)

    monkeypatch.setattr("anomdiff.reference.sliding_windows.WINDOWS_AT_ONCE", 7)

    torch.testing.assert_close(memory.energies(values, observed), whole, equal_nan=True)


@pytest.mark.parametrize("seen", [1.0, 0.6])
def test_levels_are_compared_by_the_nearest_remembered_one(seen):
    values, observed = steps(60, 3, seen)
    windows = LevelMemory.view(*(part.unfold(0, LENGTH, 1) for part in (values, observed)))[0]
    memory = LevelMemory(LENGTH, windows.flatten(1)[:20], torch.arange(20))
    values, observed = steps(60, 3, seen)

    energies = memory.energies(values, observed)

    def levels(values, observed):
        for start in range(len(values) - LENGTH + 1):
            x, mask = (part[start : start + LENGTH].T for part in (values, observed))
            share = mask.double().mean(1, keepdim=True)
            mean = torch.where(mask, x, 0.0).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
            half = share >= LEAST_SHARE
            yield torch.where(half, mean * LENGTH**0.5, 0.0).numpy(), half.numpy()

    naive = naive_energies(values, observed, memory, events=levels)
    torch.testing.assert_close(energies, naive, equal_nan=True)


def test_a_level_is_no_miss_of_a_window():
    values, observed = steps(40, 2)
    memory = remember(values, observed)

    energies = memory.energies(values + torch.tensor([5.0, -3.0]), observed)

    torch.testing.assert_close(energies, torch.zeros_like(energies))


@pytest.mark.parametrize("seen", [1.0, 0.6])
def test_the_network_that_predicts_nothing_moves_windows_by_their_posterior_mean(seen):
    values, observed = steps(50, 3, seen)
    sigma = 0.5

    energies = WindowNetwork(Denoiser(Zero()).eval(), LENGTH, sigma).energies(values, observed)

    naive = []
    for x, mask in naive_windows(values, observed):
        moved = (x / (1 + sigma**2) - x) ** 2 * (1 + sigma**2) / sigma**2
        known = mask.mean() >= LEAST_SHARE
        naive.append(moved.sum(1) / mask.mean() / 3 if known else np.full(3, np.nan))
    torch.testing.assert_close(energies, torch.tensor(np.array(naive)), equal_nan=True)


def test_fold_is_the_mean_of_the_known_windows_that_cover_a_step():
    energies = torch.rand(30, 2, dtype=torch.float64)
    energies[torch.rand(30) < 0.3] = torch.nan
    energies[8:20] = torch.nan

    folded = fold(energies, LENGTH)

    assert folded.shape == (30 + LENGTH - 1, 2)
    for step, found in enumerate(folded):
        covering = energies[max(0, step - LENGTH + 1) : step + 1]
        torch.testing.assert_close(found, covering.nanmean(0), equal_nan=True)
    assert folded.isnan().any()


def folded_energies(n_voices=4, n_steps=200, n_channels=3):
    return torch.rand(n_voices, n_steps, n_channels, dtype=torch.float64)


def test_contributions_add_up_but_for_a_constant_per_largest_memory():
    calibration = WindowCalibration.fit(folded_energies(), [0.1] * 4)
    folded = folded_energies()

    scores, blame = calibration.score(folded)

    standard = (folded.sum(2) - calibration.mean[:, None]) / calibration.spread[:, None]
    largest = standard[:-1].argmax(0)
    constants = -calibration.mean / calibration.spread
    expected = constants[largest] + constants[:-1].mean() + NETWORK_WEIGHT * constants[-1]
    torch.testing.assert_close(scores - blame.sum(1), expected)


def test_a_voice_that_knows_nothing_has_no_say():
    calibration = WindowCalibration.fit(folded_energies(), [0.1] * 4)
    folded = folded_energies()
    folded[1] = torch.nan
    rest = torch.tensor([0, 2, 3])
    without = WindowCalibration(calibration.mean[rest], calibration.spread[rest])

    found = calibration.score(folded)

    torch.testing.assert_close(found, without.score(folded[rest]))


def test_steps_of_which_nothing_is_known_score_zero_and_blame_nobody():
    calibration = WindowCalibration.fit(folded_energies(), [0.1] * 4)

    scores, blame = calibration.score(torch.full((4, 5, 3), torch.nan, dtype=torch.float64))

    assert (scores == 0).all()
    assert (blame == 0).all()


def test_a_voice_that_training_never_heard_leaves_the_scores_finite():
    training, folded = folded_energies(), folded_energies()
    training[0] = torch.nan

    scores, blame = WindowCalibration.fit(training, [0.1] * 4).score(folded)

    assert scores.isfinite().all()
    assert blame.isfinite().all()


def test_energies_of_the_network_are_scaled_up_to_those_of_fresh_steps():
    folded, fresh = torch.rand(3, 40, 2) + 1, torch.arange(40) >= 30
    folded[-1, :30] /= 5
    folded[-1, :4] = torch.nan

    scaled = without_optimism(folded, fresh)

    torch.testing.assert_close(scaled[:-1], folded[:-1])
    torch.testing.assert_close(scaled[-1, fresh], folded[-1, fresh])
    means = [scaled[-1, part].sum(1).nanmean() for part in (fresh, ~fresh)]
    torch.testing.assert_close(*means)


def test_energies_are_never_scaled_down_nor_without_fresh_steps():
    folded, fresh = torch.rand(3, 40, 2) + 1, torch.arange(40) >= 30
    folded[-1, :30] *= 5

    for steps_ in (fresh, ~fresh & fresh):
        torch.testing.assert_close(without_optimism(folded, steps_), folded)
