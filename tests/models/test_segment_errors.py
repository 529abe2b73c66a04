import numpy as np
import pytest
import torch

from anomdiff.encoding.segment import Segment
from anomdiff.models.segment_errors import (
    residual_names,
    residual_roles,
    segment_errors,
    segment_residuals,
)
from anomdiff.reference.sliding_windows import fold_residuals
from anomdiff.reference.window_bank import LevelBank, MissingComponent, UncentredBank, WindowBank
from anomdiff.scoring.local_variation import LocalVariation


def segment(n, n_channels=2):
    values = torch.randn(n, n_channels, dtype=torch.float64)
    seen = torch.ones(n, n_channels, dtype=torch.bool)
    return Segment(None, np.arange(n), values, seen)


def bank(kind, length, values):
    windows = values.unfold(0, length, 1).flatten(1).contiguous()
    return kind(length, windows, torch.arange(len(windows)))


@pytest.fixture
def components():
    values = segment(150).values
    kinds = (WindowBank, 32), (UncentredBank, 1), (UncentredBank, 20)
    return [*(bank(kind, length, values) for kind, length in kinds), LocalVariation(16)]


def test_residuals_are_named_in_their_order(components):
    names = residual_names(components)

    assert names == [
        ("WindowBank", 0.1),
        ("UncentredBank", 0.0),
        ("UncentredBank", 0.25),
        ("UncentredBank", 0.0),
        ("LocalVariation", 0.0),
    ]
    assert segment_residuals(components, segment(60), False)[1].shape == (5, 60, 2)


def test_the_least_residual_of_a_short_window_trims_all_but_single_steps_and_quietness(components):
    assert residual_roles(components) == (3, (0, 2), (4,))
    assert residual_roles([components[0]]) == (None, (0,), ())
    assert residual_roles([]) == (None, (), ())


def test_errors_and_residuals_are_folded_component_by_component(components):
    new = segment(60)

    errors, residuals = segment_residuals(components, new, False)

    torch.testing.assert_close(errors, segment_errors(components, new, False), equal_nan=True)
    place = 0
    for component, error in zip(components, errors, strict=True):
        by_window, kept = component.judge(new.values, new.observed)
        torch.testing.assert_close(error, component.fold(by_window), equal_nan=True)
        for share in component.shares:
            folded = fold_residuals(kept, component.places, share).double()
            found = residuals[place]
            torch.testing.assert_close(found[: len(folded)], folded, equal_nan=True)
            assert found[len(folded) :].isnan().all()
            place += 1


@pytest.mark.parametrize("exclude_self", [False, True], ids=["new", "training"])
def test_they_do_not_depend_on_the_number_of_windows_per_thread(
    components, exclude_self, monkeypatch
):
    new = segment(100)
    whole = segment_residuals(components, new, exclude_self)

    monkeypatch.setattr("anomdiff.models.segment_errors.WINDOWS_PER_THREAD", 7)

    found = segment_residuals(components, new, exclude_self)
    torch.testing.assert_close(found, whole, equal_nan=True)


def test_components_longer_than_the_segment_are_missing(components):
    errors, residuals = segment_residuals(components, segment(18), False)

    assert errors[[0, 2]].isnan().all()
    assert residuals[[0, 2, 3]].isnan().all()
    assert not errors[1].isnan().any()
    assert not residuals[1].isnan().any()


def test_a_missing_component_has_missing_residuals():
    missing = MissingComponent(8, (0.25, 0.0))

    errors, residuals = segment_residuals([missing], segment(30), False)

    assert errors.shape == (1, 30, 2)
    assert residuals.shape == (2, 30, 2)
    assert errors.isnan().all()
    assert residuals.isnan().all()


def test_components_without_residuals_have_none():
    level = LevelBank(8, torch.randn(5, 2).double(), torch.arange(5))

    errors, residuals = segment_residuals([level], segment(30), False)

    assert len(errors) == 1
    assert residuals.shape == (0, 30, 2)
