from copy import deepcopy
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch

from anomdiff import TimeSeriesDetector
from anomdiff.models.window_model import WindowModel
from anomdiff.reference.segments import spread_out
from anomdiff.reference.window_bank import LevelBank
from anomdiff.scoring.step_regression import StepRegression
from anomdiff.scoring.window_scores import WindowNetwork
from tests.models.stored import stored_model, stored_segments
from tests.series import waves
from tests.settings import TINY_SERIES

KINDS = pytest.mark.parametrize("kind", ["panel", "series"])


def fitted(frame, **settings):
    return TimeSeriesDetector(**{**TINY_SERIES, **settings}).fit(frame).model_


@KINDS
def test_the_score_is_half_the_network_plus_the_largest_and_the_mean_of_the_others(kind):
    model = stored_model(kind)
    mean, spread = model.calibration.mean.tolist(), model.calibration.spread.tolist()

    for segment in stored_segments(kind):
        errors, scores = model.components(segment), model.score(segment)[0]
        missing = errors.isnan() & ~errors.isnan().all(2, keepdim=True)
        if missing.any():  # a missing channel counts as it usually does
            errors = torch.where(missing, model.calibration.channels[:, None], errors)

        for step, score in enumerate(scores.tolist()):
            totals = [errors[i, step].sum().item() for i in range(len(errors))]
            standard = [(t - m) / s for t, m, s in zip(totals, mean, spread, strict=True)]
            *others, network = standard
            others = [each for each in others if not np.isnan(each)]
            naive = 0.0 if np.isnan(network) else network / 2
            naive += max(others) + sum(others) / len(others) if others else 0.0
            assert score == pytest.approx(naive, abs=1e-9)


@KINDS
def test_components_are_the_banks_the_regression_and_the_network_folded_to_steps(kind):
    model, segment = stored_model(kind), stored_segments(kind)[0]

    found = model.components(segment)

    network = WindowNetwork(model.denoiser, model.network_length, model.sigma)
    further = [model.channel_regression] if kind == "panel" else []
    parts = [*model.banks, model.regression, *further, network]
    assert [type(part).__name__ for part in model.banks].count("LevelBank") == (kind == "panel")
    assert len(found) == len(parts)
    for errors, part in zip(found, parts, strict=True):
        windows = part.squared_errors(segment.values, segment.observed)
        torch.testing.assert_close(errors, part.fold(windows), equal_nan=True)


@KINDS
def test_no_component_of_a_series_can_be_left_out(kind):
    model, segment = stored_model(kind), stored_segments(kind)[0]
    errors, scores = model.components(segment), model.score(segment)[0]

    for left_out in range(len(errors)):
        rest = errors.clone()
        rest[left_out] = torch.nan
        differences = (model.calibration.score(rest)[0] - scores).abs()
        known = ~errors[left_out].sum(1).isnan()
        assert known.sum() > 20
        assert (differences[known] > 1e-3).double().mean() > 0.5


def silent(denoiser):
    """The same network with weights of zero: it predicts nothing."""
    denoiser = deepcopy(denoiser)
    with torch.no_grad():
        for weights in denoiser.parameters():
            weights.zero_()
    return denoiser


def changed_bank(place):
    def change(model):
        banks = list(model.banks)
        banks[place] = replace(banks[place], windows=banks[place].windows * 2)
        return {"banks": tuple(banks)}

    return change


CHANGES = {
    **{f"bank {place}": changed_bank(place) for place in range(4)},
    "regression": lambda m: {"regression": StepRegression(m.regression.weights * 0)},
    "network": lambda m: {"denoiser": silent(m.denoiser)},
    "sigma": lambda m: {"sigma": 2 * m.sigma},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_component_changes_the_score_of_a_series(change):
    model, segment = stored_model("panel"), stored_segments("panel")[0]
    other = replace(model, **change(model))

    differences = (other.score(segment)[0] - model.score(segment)[0]).abs()

    whole = ~model.components(segment).sum(2).isnan().any(0)  # no component is missing
    assert whole.sum() > 20
    assert (differences[whole] > 1e-4).double().mean() > 0.5


def test_levels_of_a_series_that_training_did_not_show_are_missing():
    model = stored_model("panel")
    known, unknown = (
        next(each for each in stored_segments("panel") if each.known == wanted)
        for wanted in (True, False)
    )
    place = [isinstance(bank, LevelBank) for bank in model.banks].index(True)

    assert not model.components(known)[place].isnan().all()
    errors = model.components(unknown)
    assert errors[place].isnan().all()
    assert not errors[[i for i in range(len(errors)) if i != place]].isnan().all()


def test_windows_longer_than_a_segment_are_missing_components():
    model, segment = stored_model("series"), stored_segments("series")[0]

    errors = model.components(segment.slice(0, 12))

    lengths = [8, 16, 32, StepRegression.length, model.network_length]
    assert errors.isnan().all((1, 2)).tolist() == [length > 12 for length in lengths]


@pytest.mark.parametrize("seen", [1.0, 0.5])
def test_a_window_with_gaps_is_scaled_up_to_the_whole_window(seen):
    model, segment = stored_model("series"), stored_segments("series")[0]
    length, steps = model.network_length, torch.arange(model.network_length)
    observed = (steps < seen * length)[:, None]
    values = torch.where(observed, segment.values[:length], 0.0)

    for part in model.window_components():
        if part.length == length:
            errors = part.squared_errors(values, observed)
            kept = errors * seen
            mean = values[observed].mean()
            x = torch.where(observed, values - mean, 0.0)
            if isinstance(part, WindowNetwork):
                level, nothing = x.new_full((1,), model.sigma), torch.zeros(1, 1, length).bool()
                moved = model.denoiser(x.T[None], level, nothing)[0].T - x
                scale = model.sigma**2 / (1 + model.sigma**2)
                naive = moved[observed].square().sum() / scale
            else:
                gaps = (part.windows - x.T)[:, observed[:, 0]]
                naive = gaps.square().sum(1).min()
            torch.testing.assert_close(kept, naive.reshape(1, 1).double(), rtol=1e-4, atol=1e-5)


def test_training_windows_find_themselves_unless_overlapping_ones_are_left_out():
    frame = waves(120, seed=0)
    model = fitted(frame)
    (segment,) = spread_out(model.encode(frame), apart=max(model.window_lengths))

    for place, bank in enumerate(model.banks):
        assert len(bank.windows) == 120 - bank.length + 1
        itself, others = (
            model.components(segment, exclude_self=exclude)[place].sum(1)
            for exclude in (False, True)
        )
        assert itself.max() < 1e-9
        assert others.min() > 1e-3


def test_normal_steps_are_calibrated_without_the_windows_that_overlap_them():
    frame = waves(200, seed=0)
    model = fitted(frame)
    (segment,) = spread_out(model.encode(frame), apart=max(model.window_lengths))
    windows = [0.001 * bank.length for bank in model.banks]
    floors = [*windows, 0.008, 0.001, 0.001 * model.network_length]

    errors = model.components(segment, exclude_self=True)

    for total, mean, spread, floor in zip(
        errors.sum(2), model.calibration.mean, model.calibration.spread, floors, strict=True
    ):
        known = total[~total.isnan()].numpy()
        assert mean.item() == pytest.approx(known.mean())
        assert spread.item() == pytest.approx(known.std() + floor)


def test_scores_of_training_steps_are_kept_with_the_network_as_poor_as_on_steps_it_did_not_see():
    frame = waves(200, seed=0)[["slow"]]
    frame[160:] += np.random.default_rng(0).normal(0, 0.3, size=(40, 1))
    model = fitted(frame)
    (segment,) = spread_out(model.encode(frame), apart=max(model.window_lengths))

    errors = model.components(segment, exclude_self=True)

    unseen = torch.arange(200) >= 160 + model.network_length - 1
    ratio = errors[-1, unseen].sum(1).mean() / errors[-1, ~unseen].sum(1).mean()
    assert ratio > 1.1
    errors[-1, ~unseen] *= ratio
    scores = model.calibration.score(errors)[0].sort().values
    # The largest also depend on the evidence of single steps.
    np.testing.assert_allclose(model.calibration_scores[:190], scores[:190], atol=1e-6)


def test_screened_steps_are_not_compared_with_the_windows_that_overlap_them():
    frame, detector = waves(120, seed=0), TimeSeriesDetector(**TINY_SERIES, alpha=0.1)

    scores = detector.screen(frame)["anomaly_score"]

    model = detector.model_
    (segment,) = spread_out(model.encode(frame), apart=max(model.window_lengths))
    found, _ = model.judge(segment, exclude_self=True)
    np.testing.assert_allclose(scores, found.scores, atol=1e-6)
    assert (scores.to_numpy() > model.judge(segment)[0].scores.numpy()).all()


def test_the_network_is_not_trained_on_the_ends_that_are_held_out():
    frame = waves(200, seed=0)
    mixed = frame.copy()
    mixed[160:] = np.random.default_rng(0).permutation(mixed[160:].to_numpy())

    one, other = fitted(frame), fitted(mixed)

    for name, weights in one.denoiser.state_dict().items():
        torch.testing.assert_close(other.denoiser.state_dict()[name], weights)
    assert not torch.equal(one.banks[0].windows, other.banks[0].windows)


@KINDS
def test_a_model_of_series_from_its_dict_scores_the_same_to_the_last_bit(kind):
    model = stored_model(kind)

    again = WindowModel.from_dict(model.to_dict())

    for segment in stored_segments(kind):
        for one, other in zip(again.score(segment), model.score(segment), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_scores_do_not_depend_on_how_many_windows_are_scored_at_once(monkeypatch):
    model, segment = stored_model("panel"), stored_segments("panel")[0]
    whole = model.score(segment)

    monkeypatch.setattr("anomdiff.models.segment_errors.WINDOWS_PER_THREAD", 50)

    torch.testing.assert_close(model.score(segment), whole, rtol=0, atol=1e-6)


def test_a_fitted_model_of_series_is_frozen():
    model = stored_model("panel")

    with pytest.raises(FrozenInstanceError):
        model.sigma = 1.0
    with pytest.raises(FrozenInstanceError):
        model.calibration.mean = torch.zeros(6)
    with pytest.raises(FrozenInstanceError):
        model.banks[0].length = 3
