import numpy as np
import torch

from anomdiff.reference.sliding_windows import cut_windows
from anomdiff.scoring.step_regression import REACH, RIDGE, StepRegression


def series(n=400, channels=2, seed=0):
    rng = np.random.default_rng(seed)
    steps = np.arange(n)[:, None] / np.array([3.0, 5.0])[:channels]
    return torch.from_numpy(np.sin(steps) + rng.normal(0, 0.1, (n, channels)))


def everywhere(values):
    return torch.ones(values.shape, dtype=torch.bool)


def fitted(values):
    windows, _ = cut_windows(values, everywhere(values), StepRegression.length)
    return StepRegression.fit(windows), windows.numpy()


def test_weights_solve_the_ridge_regression_of_each_channel():
    regression, windows = fitted(series())
    n_neighbours = 2 * REACH

    for channel in range(2):
        x = np.delete(windows[:, channel], REACH, axis=1)
        y = windows[:, channel, REACH]
        # Ridge as least squares: one more row per coefficient pulls it to zero.
        pull = np.sqrt(RIDGE * len(x)) * np.eye(n_neighbours)
        wanted, *_ = np.linalg.lstsq(
            np.vstack([x, pull]), np.append(y, np.zeros(n_neighbours)), rcond=None
        )
        found = np.delete(regression.weights[channel].numpy(), REACH)
        np.testing.assert_allclose(found, wanted, atol=1e-8)
        assert regression.weights[channel, REACH] == 0


def test_errors_are_the_squared_residuals_of_the_steps_in_the_middle():
    regression, _ = fitted(series())
    values = series(60, seed=1)

    folded = regression.fold(regression.squared_errors(values, everywhere(values)))

    assert folded.shape == values.shape
    assert folded[:REACH].isnan().all()
    assert folded[-REACH:].isnan().all()
    for step in range(REACH, 60 - REACH):
        window = values[step - REACH : step + REACH + 1]
        window = window - window.mean(0)
        guess = (window.T * regression.weights).sum(1)
        torch.testing.assert_close(folded[step], (window[REACH] - guess) ** 2 / 2)


def test_a_missing_cell_takes_the_errors_of_the_steps_around_it_in_its_channel_alone():
    regression, _ = fitted(series())
    values = series(80, seed=2)
    observed = everywhere(values)
    observed[40, 0] = False

    folded = regression.fold(regression.squared_errors(values, observed))

    assert folded[40 - REACH : 41 + REACH, 0].isnan().all()
    assert not folded[REACH:-REACH, 1].isnan().any()


def test_a_spike_stands_out_at_its_own_step():
    regression, _ = fitted(series())
    values = series(200, seed=3)
    values[120, 1] += 1.5

    folded = regression.fold(regression.squared_errors(values, everywhere(values)))[:, 1]

    assert folded.nan_to_num(0.0).argmax() == 120
    assert folded[120] > 5 * folded[121]


def test_no_window_gives_weights_that_expect_nothing():
    regression = StepRegression.fit(torch.zeros(0, 3, StepRegression.length))

    assert (regression.weights == 0).all()
    assert regression.weights.shape == (3, StepRegression.length)
