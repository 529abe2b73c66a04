import numpy as np
import pytest
import torch

from anomdiff import TimeSeriesDetector
from anomdiff.encoding.panel import PanelLayout
from anomdiff.models.judged_steps import step_cells, warn_of_few_steps, warn_of_unjudged
from anomdiff.scoring.step_scores import JudgedSteps
from tests.series import panel, waves
from tests.settings import TINY_SERIES


def test_steps_that_are_not_judged_have_no_score_no_flag_and_no_channel():
    found = JudgedSteps(
        torch.tensor([1.0, 0.0, 3.0]),
        torch.tensor([True, True, False]),
        torch.tensor([1, 0, 0]),
        torch.zeros(3, 2),
    )

    cells = step_cells(found, torch.tensor([True, False, True]), ["cpu", ("disk", 1)])

    np.testing.assert_array_equal(cells.scores, [1.0, np.nan, 3.0])
    assert cells.evident.tolist() == [True, False, False]
    assert cells.channels.tolist() == [("disk", 1), None, "cpu"]


def test_steps_that_are_not_judged_are_counted_and_the_first_is_named():
    frame = panel(20, seed=0)
    layout = PanelLayout.infer(frame, series="host", time="time")
    unjudged = np.arange(40) >= 23

    with pytest.warns(UserWarning, match="17 of 40 rows .*first row 23 of series 'b'") as told:
        warn_of_unjudged(layout, frame, unjudged, 8)

    assert "need at least 8 rows in a row" in str(told[0].message)


def test_where_all_steps_are_judged_nothing_is_told(recwarn):
    frame = waves(40, seed=0)

    warn_of_unjudged(PanelLayout.infer(frame), frame, np.zeros(40, dtype=bool), 8)

    assert not [each for each in recwarn if issubclass(each.category, UserWarning)]


@pytest.mark.parametrize(("n_steps", "alpha"), [(1000, 0.01), (200, 0.05), (100_000, 1e-4)])
def test_enough_steps_for_an_alpha_raise_no_warning(n_steps, alpha, recwarn):
    warn_of_few_steps(n_steps, alpha)

    assert not recwarn.list


@pytest.mark.parametrize(
    ("n_steps", "alpha", "said"),
    [
        (500, 0.01, "need at least 1000 steps .* got 500, .* 4.0%, .* set alpha=0.04"),
        (999, 0.01, "need at least 1000 steps .* set alpha=0.02"),
        (30, 0.1, "need at least 100 steps .* set alpha=0.5"),
        (60, 0.01, "need at least 1000 steps .* got 60, so that no step .* set alpha=0.33"),
    ],
)
def test_few_steps_for_an_alpha_are_told_with_one_that_holds(n_steps, alpha, said):
    with pytest.warns(UserWarning, match=said):
        warn_of_few_steps(n_steps, alpha)


@pytest.mark.parametrize("n_steps", [60, 98, 99, 500])
def test_a_short_training_is_told_in_one_warning_with_one_alpha(n_steps):
    with pytest.warns(UserWarning, match="alpha") as told:
        detector = TimeSeriesDetector(**TINY_SERIES).fit(waves(n_steps, seed=0))

    said = [str(each.message) for each in told if "alpha" in str(each.message)]
    assert len(said) == 1
    assert said[0].count("set alpha") == 1
    assert ("no step will be flagged" in said[0]) == np.isinf(detector.threshold_)
