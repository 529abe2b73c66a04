"""Fitted anew to its training data, a stored model is the same but for what the network says."""

from functools import cache

import pytest
import torch

from anomdiff.scoring.calibration import ScoreCalibration
from tests.golden.inputs import INPUTS
from tests.models.stored import stored_detector, stored_frame, stored_model, stored_rows


@cache
def refitted(kind):
    """The model of one training step on the data of a stored one, with the same parameters."""
    detector = stored_detector(kind)
    settings = {**detector.get_params(), "max_iter": 1}
    return type(detector)(**settings).fit(INPUTS[kind]()[0]).model_


TABLES = pytest.mark.parametrize("kind", ["table", "numbers"])
SERIES = pytest.mark.parametrize("kind", ["panel", "series"])


@TABLES
def test_reference_rows_and_their_local_scales_are_the_same(kind):
    found, stored = refitted(kind).reference, stored_model(kind).reference

    torch.testing.assert_close(vars(found), vars(stored))


@TABLES
def test_levels_and_noise_are_the_same(kind):
    found, stored = refitted(kind).ensemble, stored_model(kind).ensemble

    for one, other in zip(found.reconstructions, stored.reconstructions, strict=True):
        torch.testing.assert_close(vars(one), vars(other))


@TABLES
def test_subsets_are_the_same(kind):
    found, stored = refitted(kind).ensemble, stored_model(kind).ensemble

    for one, other in zip(found.subset_searches, stored.subset_searches, strict=True):
        torch.testing.assert_close(vars(one.subsets), vars(other.subsets))


def test_the_cooccurrence_of_categories_is_the_same():
    found, stored = (m.ensemble.cooccurrence for m in (refitted("table"), stored_model("table")))

    torch.testing.assert_close(vars(found), vars(stored))


@TABLES
def test_the_calibration_of_rows_is_the_same_but_for_the_network(kind):
    found, stored = refitted(kind).calibration, stored_model(kind).calibration

    for one, other in zip(_without_network(found), _without_network(stored), strict=True):
        torch.testing.assert_close(one, other)


@SERIES
def test_reference_windows_and_levels_are_the_same(kind):
    for found, stored in zip(refitted(kind).banks, stored_model(kind).banks, strict=True):
        assert type(found) is type(stored)
        assert found.length == stored.length
        assert torch.equal(found.starts, stored.starts)
        torch.testing.assert_close(found.windows, stored.windows)


@SERIES
def test_the_regression_of_single_steps_is_the_same(kind):
    found, stored = refitted(kind).regression, stored_model(kind).regression

    torch.testing.assert_close(found.weights, stored.weights)


@SERIES
def test_the_calibration_of_steps_is_the_same_but_for_the_network(kind):
    found, stored = refitted(kind).calibration, stored_model(kind).calibration

    torch.testing.assert_close(found.mean[:-1], stored.mean[:-1])
    torch.testing.assert_close(found.spread[:-1], stored.spread[:-1])


@TABLES
def test_rows_are_encoded_and_weighted_the_same(kind):
    model = refitted(kind)
    checked = model.schema.check(stored_frame(kind))

    for found, stored in zip(model.encode(checked), stored_rows(kind), strict=True):
        torch.testing.assert_close(found, stored)
    torch.testing.assert_close(model.distance_weights, stored_model(kind).distance_weights)


@SERIES
def test_steps_are_scaled_the_same(kind):
    model = refitted(kind)

    assert model.window_lengths == stored_model(kind).window_lengths
    for found, stored in zip(
        model.encode(stored_frame(kind)), stored_model(kind).encode(stored_frame(kind)), strict=True
    ):
        torch.testing.assert_close(found.values, stored.values)
        assert torch.equal(found.observed, stored.observed)


@pytest.mark.parametrize("kind", INPUTS)
def test_the_seed_and_what_calibrates_are_the_same(kind):
    found, stored = refitted(kind), stored_model(kind)

    assert found.seed == stored.seed
    assert len(found.calibration_scores) == len(stored.calibration_scores)


def _without_network(calibration: ScoreCalibration):
    """Numbers of all components but the first three."""
    return [
        *calibration.level_mean[3:],
        *calibration.level_std[3:],
        *map(torch.tensor, calibration.component_std[3:]),
        *[each.to_dict() for each in calibration.surprisals[3:]],
    ]


@SERIES
def test_the_regression_of_channels_is_the_same(kind):
    found, stored = (model.channel_regression for model in (refitted(kind), stored_model(kind)))

    assert (found is None) == (stored is None) == (kind == "series")
    if found is not None:
        torch.testing.assert_close(found.precision, stored.precision)
        torch.testing.assert_close(found.scale, stored.scale)
