from dataclasses import replace

import numpy as np
import pytest
import torch

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.reference.sliding_windows import LEAST_SHARE, cut_windows, fold
from anomdiff.reference.window_bank import LevelBank, WindowBank
from anomdiff.scoring.window_scores import (
    NETWORK_WEIGHT,
    WindowCalibration,
    WindowNetwork,
    optimism,
    scaled_network,
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


def naive_errors(values, observed, bank, starts=None, events=naive_windows):
    found = []
    for i, (x, seen) in enumerate(events(values, observed)):
        best, error = np.inf, np.full(len(x), np.nan)
        for row, start in zip(bank.windows.reshape(-1, *x.shape).numpy(), bank.starts, strict=True):
            if starts is not None and abs(int(start - starts[i])) < LENGTH:
                continue
            residual = np.where(seen, row - x, 0.0) ** 2
            if residual.sum() < best:
                best, error = residual.sum(), residual.sum(1) / len(x)
        found.append(scaled_up(error, seen))
    return torch.tensor(np.array(found))


def scaled_up(error, seen):
    """Errors of channels as if all of them were observed; NaN where nothing or too little is."""
    shares = seen.mean(1)
    known = (shares > 0) & (seen.mean() >= LEAST_SHARE)
    return np.where(known, error / np.maximum(shares, LEAST_SHARE), np.nan)


def bank_of(values, observed, at=slice(None)):
    windows, _ = cut_windows(values, observed, LENGTH)
    return WindowBank(LENGTH, windows.flatten(1)[at], torch.arange(len(windows))[at].contiguous())


@pytest.mark.parametrize("seen", [1.0, 0.6])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_errors_equal_the_naive_loop(seen, n_channels):
    bank = bank_of(*steps(40, n_channels, seen))
    values, observed = steps(60, n_channels, seen)

    errors = bank.squared_errors(values, observed)

    torch.testing.assert_close(errors, naive_errors(values, observed, bank), equal_nan=True)


@pytest.mark.parametrize("seen", [1.0, 0.7])
@pytest.mark.parametrize("every", [1, 3])
def test_windows_of_training_are_not_compared_with_those_that_overlap(seen, every):
    values, observed = steps(60, 2, seen)
    bank = bank_of(values, observed, at=slice(None, None, every))
    starts = torch.arange(60 - LENGTH + 1)

    errors = bank.squared_errors(values, observed, starts)

    naive = naive_errors(values, observed, bank, starts)
    torch.testing.assert_close(errors, naive, equal_nan=True)


def test_errors_are_missing_where_all_reference_windows_overlap():
    values, observed = steps(9, 2)

    errors = bank_of(values, observed).squared_errors(values, observed, torch.arange(4))

    assert errors.isnan().all()


def test_errors_do_not_depend_on_the_number_of_windows_at_once(monkeypatch):
    bank = bank_of(*steps(40, 2))
    values, observed = steps(60, 2, 0.8)
    whole = bank.squared_errors(values, observed)

    monkeypatch.setattr("anomdiff.reference.sliding_windows.WINDOWS_AT_ONCE", 7)

    torch.testing.assert_close(bank.squared_errors(values, observed), whole, equal_nan=True)


@pytest.mark.parametrize("seen", [1.0, 0.6])
def test_levels_are_compared_with_the_nearest_reference_one(seen):
    values, observed = steps(60, 3, seen)
    windows = LevelBank.view(*(part.unfold(0, LENGTH, 1) for part in (values, observed)))[0]
    bank = LevelBank(LENGTH, windows.flatten(1)[:20], torch.arange(20))
    values, observed = steps(60, 3, seen)

    errors = bank.squared_errors(values, observed)

    def levels(values, observed):
        for start in range(len(values) - LENGTH + 1):
            x, mask = (part[start : start + LENGTH].T for part in (values, observed))
            share = mask.double().mean(1, keepdim=True)
            mean = torch.where(mask, x, 0.0).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
            half = share >= LEAST_SHARE
            yield torch.where(half, mean * LENGTH**0.5, 0.0).numpy(), half.numpy()

    naive = naive_errors(values, observed, bank, events=levels)
    torch.testing.assert_close(errors, naive, equal_nan=True)


def test_a_level_is_no_error_of_a_window():
    values, observed = steps(40, 2)
    bank = bank_of(values, observed)

    errors = bank.squared_errors(values + torch.tensor([5.0, -3.0]), observed)

    torch.testing.assert_close(errors, torch.zeros_like(errors))


@pytest.mark.parametrize("kind", ["bank", "level", "network"])
def test_a_window_of_which_half_is_observed_is_scored_and_of_less_is_not(kind):
    length, starts = 40, torch.arange(5)
    values, windows = torch.randn(length, 1).double(), torch.randn(5, length)
    component = {
        "bank": WindowBank(length, windows, starts),
        "level": LevelBank(length, windows[:, :1], starts),
        "network": WindowNetwork(Denoiser(Zero()).eval(), length, 0.5),
    }[kind]

    for n_seen in (1, 19, 20, 39):
        observed = (torch.arange(length) < n_seen)[:, None]
        errors = component.squared_errors(torch.where(observed, values, 0.0), observed)
        assert errors.isnan().all() == (n_seen < 20)


def test_levels_count_as_noise_within_a_tenth_and_shapes_within_a_thousandth_of_the_variance():
    nothing = torch.zeros(0)

    assert LevelBank(16, nothing, nothing).noise_floor == pytest.approx(0.1 * 16)
    assert WindowBank(16, nothing, nothing).noise_floor == pytest.approx(0.001 * 16)
    assert WindowNetwork(Denoiser(Zero()), 16, 0.1).noise_floor == pytest.approx(0.001 * 16)


@pytest.mark.parametrize("seen", [1.0, 0.6])
def test_the_network_that_predicts_nothing_moves_windows_by_their_posterior_mean(seen):
    values, observed = steps(50, 3, seen)
    sigma = 0.5

    errors = WindowNetwork(Denoiser(Zero()).eval(), LENGTH, sigma).squared_errors(values, observed)

    naive = []
    for x, mask in naive_windows(values, observed):
        moved = (x / (1 + sigma**2) - x) ** 2 * (1 + sigma**2) / sigma**2
        naive.append(scaled_up(moved.sum(1) / 3, mask))
    torch.testing.assert_close(errors, torch.tensor(np.array(naive)), equal_nan=True)


def test_fold_is_the_mean_of_the_known_windows_that_cover_a_step():
    errors = torch.rand(30, 2, dtype=torch.float64)
    errors[torch.rand(30) < 0.3] = torch.nan
    errors[8:20] = torch.nan

    folded = fold(errors, LENGTH)

    assert folded.shape == (30 + LENGTH - 1, 2)
    for step, found in enumerate(folded):
        covering = errors[max(0, step - LENGTH + 1) : step + 1]
        torch.testing.assert_close(found, covering.nanmean(0), equal_nan=True)
    assert folded.isnan().any()


def folded_errors(n_components=4, n_steps=200, n_channels=3):
    return torch.rand(n_components, n_steps, n_channels, dtype=torch.float64)


def test_contributions_add_up_but_for_a_constant_per_largest_bank():
    calibration = WindowCalibration.fit(folded_errors(), [0.1] * 4)
    folded = folded_errors()

    scores, contributions = calibration.score(folded)

    standard = (folded.sum(2) - calibration.mean[:, None]) / calibration.spread[:, None]
    largest = standard[:-1].argmax(0)
    constants = -calibration.mean / calibration.spread
    expected = constants[largest] + constants[:-1].mean() + NETWORK_WEIGHT * constants[-1]
    torch.testing.assert_close(scores - contributions.sum(1), expected)


@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_a_score_is_half_the_network_plus_the_largest_and_the_mean_of_the_others(gaps):
    training, folded = folded_errors(), folded_errors()
    folded[torch.rand(folded.shape[:2]) < gaps] = torch.nan
    floors = [0.1, 0.2, 0.3, 0.4]

    scores, _ = WindowCalibration.fit(training, floors).score(folded)

    totals, new = training.sum(2).numpy(), folded.sum(2).numpy()
    for step, score in enumerate(scores.tolist()):
        numbers = zip(new[:, step], totals.mean(1), totals.std(1), floors, strict=True)
        standard = [(total - mean) / (std + floor) for total, mean, std, floor in numbers]
        known = [each for each in standard[:-1] if not np.isnan(each)]
        naive = 0.0 if np.isnan(standard[-1]) else 0.5 * standard[-1]
        naive += max(known) + np.mean(known) if known else 0.0
        assert score == pytest.approx(naive)


@pytest.mark.parametrize("left_out", range(4))
def test_leaving_a_component_out_changes_the_scores_of_steps(left_out):
    calibration, folded = WindowCalibration.fit(folded_errors(), [0.1] * 4), folded_errors()
    rest = folded.clone()
    rest[left_out] = torch.nan

    differences = calibration.score(rest)[0] - calibration.score(folded)[0]

    assert (differences.abs() > 1e-6).double().mean() > 0.9


def test_a_missing_component_has_no_weight():
    calibration = WindowCalibration.fit(folded_errors(), [0.1] * 4)
    folded = folded_errors()
    folded[1] = torch.nan
    rest = torch.tensor([0, 2, 3])
    without = WindowCalibration(calibration.mean[rest], calibration.spread[rest])

    found = calibration.score(folded)

    torch.testing.assert_close(found, without.score(folded[rest]))


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_missing_channel_counts_as_it_usually_does_and_contributes_nothing(lost):
    calibration, folded = WindowCalibration.fit(folded_errors(), [0.1] * 4), folded_errors()
    usual, gone = folded.clone(), folded.clone()
    usual[:, :, lost] = calibration.channels[:, None, lost]
    gone[:, :, lost] = torch.nan

    scores, contributions = calibration.score(gone)
    wanted, shared = calibration.score(usual)

    rest = [channel for channel in range(3) if channel != lost]
    torch.testing.assert_close(scores, wanted)
    torch.testing.assert_close(contributions[:, rest], shared[:, rest])
    assert (contributions[:, lost] == 0).all()


def test_a_channel_missing_in_part_of_training_has_the_usual_errors_of_the_rest():
    training = folded_errors()
    gone = training.clone()
    gone[:, 100:, 1] = torch.nan

    calibration = WindowCalibration.fit(gone, [0.1] * 4)

    usual = training[:, :100, 1].mean(1)
    torch.testing.assert_close(calibration.channels[:, 1], usual)
    totals = training[:, :, [0, 2]].sum(2).mean(1) + usual
    torch.testing.assert_close(calibration.mean, totals)


@pytest.mark.parametrize("kind", ["bank", "level", "network"])
def test_the_errors_of_channels_do_not_depend_on_how_much_of_another_is_observed(kind):
    values, whole = steps(60, 3)
    windows = torch.zeros(5, 3 * LENGTH, dtype=torch.float64)  # all the same: none is nearer
    component = {
        "bank": WindowBank(LENGTH, windows, torch.arange(5)),
        "level": LevelBank(LENGTH, windows[:, :3], torch.arange(5)),
        "network": WindowNetwork(Denoiser(Zero()).eval(), LENGTH, 0.5),
    }[kind]
    expected = component.squared_errors(values, whole)

    for share in (0.0, 0.3, 0.9):
        observed = whole.clone()
        observed[:, 1] = torch.rand(60) < share
        found = component.squared_errors(torch.where(observed, values, 0.0), observed)
        torch.testing.assert_close(found[:, [0, 2]], expected[:, [0, 2]])
        assert share or found[:, 1].isnan().all()


@pytest.mark.parametrize("kind", ["bank", "network"])
def test_models_of_older_formats_scale_all_channels_up_together(kind):
    values, observed = steps(60, 3, 0.7)
    bank = bank_of(*steps(40, 3))
    component = {
        "bank": WindowBank(LENGTH, bank.windows, bank.starts, together=True),
        "network": WindowNetwork(Denoiser(Zero()).eval(), LENGTH, 0.5, together=True),
    }[kind]

    errors = component.squared_errors(values, observed)

    shares = observed.unfold(0, LENGTH, 1).double().mean(2)
    each = replace(component, together=False).squared_errors(values, observed)
    plain = each.nan_to_num(0.0) * shares.clamp(min=LEAST_SHARE)
    share = observed.unfold(0, LENGTH, 1).double().mean((1, 2))[:, None]
    torch.testing.assert_close(
        errors, torch.where(share < LEAST_SHARE, torch.nan, plain / share), equal_nan=True
    )


def test_steps_of_which_nothing_is_known_score_zero_and_no_channel_contributes():
    calibration = WindowCalibration.fit(folded_errors(), [0.1] * 4)

    scores, contributions = calibration.score(torch.full((4, 5, 3), torch.nan, dtype=torch.float64))

    assert (scores == 0).all()
    assert (contributions == 0).all()


def test_a_component_missing_in_training_leaves_the_scores_finite():
    training, folded = folded_errors(), folded_errors()
    training[0] = torch.nan

    scores, contributions = WindowCalibration.fit(training, [0.1] * 4).score(folded)

    assert scores.isfinite().all()
    assert contributions.isfinite().all()


def test_errors_of_the_network_are_scaled_up_to_those_of_held_out_steps():
    folded, held_out = torch.rand(3, 40, 2) + 1, torch.arange(40) >= 30
    folded[-1, :30] /= 5
    folded[-1, :4] = torch.nan
    before = folded.clone()

    scaled = scaled_network(folded, 2, optimism(folded[-1], held_out), held_out)

    torch.testing.assert_close(scaled[:-1], before[:-1])
    torch.testing.assert_close(scaled[-1, held_out], before[-1, held_out])
    means = [scaled[-1, part].sum(1).nanmean() for part in (held_out, ~held_out)]
    torch.testing.assert_close(*means)
    torch.testing.assert_close(folded, before, equal_nan=True)


def test_only_the_component_of_the_number_is_scaled():
    folded, held_out = torch.rand(3, 40, 2), torch.arange(40) >= 30

    scaled = scaled_network(folded, 0, 3.0, held_out)

    torch.testing.assert_close(scaled[0, :30], 3 * folded[0, :30])
    assert torch.equal(scaled[0, 30:], folded[0, 30:])
    assert torch.equal(scaled[1:], folded[1:])


def test_errors_are_never_scaled_down_nor_without_held_out_steps():
    errors, held_out = torch.rand(40, 2) + 1, torch.arange(40) >= 30
    errors[:30] *= 5

    assert optimism(errors, held_out) == 1
    assert optimism(errors, ~held_out & held_out) == 1
    assert optimism(torch.full_like(errors, torch.nan), held_out) == 1
