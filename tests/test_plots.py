import numpy as np
import pandas as pd
import pytest

from anomdiff.plots import alarm_rates, level_figure, sample_figure
from anomdiff.selection.level_losses import LEVELS
from tests.tables import mixed_table


@pytest.mark.parametrize(("n", "alpha"), [(99, 0.1), (500, 0.05)])
def test_nine_in_ten_calibrations_have_an_alarm_rate_in_the_range(n, alpha):
    scores = np.sort(np.random.default_rng(0).uniform(size=(4000, n)), axis=1)
    k = int(alpha * (n + 1))
    rates = 1 - scores[:, n - k]  # of uniform scores above the threshold

    low, high = alarm_rates(n, alpha)

    assert np.mean((low <= rates) & (rates <= high)) == pytest.approx(0.9, abs=0.02)


def test_too_few_rows_for_alpha_raise_no_alarm():
    assert np.ravel(alarm_rates(50, 0.01)).tolist() == [0, 0]


def test_sampled_rows_are_drawn_beside_training_rows_column_by_column():
    rows = mixed_table(50, seed=0)

    figure = sample_figure(rows, mixed_table(40, seed=1))

    assert [axes.get_title() for axes in figure.axes if axes.axison] == list(rows)


def test_every_group_of_rows_has_a_line():
    losses = {"sigma": LEVELS.numpy(), "training": np.ones(8), "held out": np.ones(8)}

    (axes,) = level_figure(pd.DataFrame(losses)).axes

    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["training", "held out", "nothing learnt"]
