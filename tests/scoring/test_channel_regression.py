import numpy as np
import pytest
import torch

from anomdiff.encoding.segment import Segment
from anomdiff.scoring.channel_regression import (
    CHANNEL_NOISE,
    FOLDS,
    MOST_CHANNELS,
    REACH,
    ChannelRegression,
    _completed,
    n_features,
)


def plant(n=600, seed=0, noise=0.1):
    """Four channels of two hidden ones, about of unit variance."""
    rng = np.random.default_rng(seed)
    hidden = np.stack([np.sin(np.arange(n) / 9), np.cos(np.arange(n) / 23)], axis=1) * 2**0.5
    mix = np.array([[1.0, 0.0], [0.0, 1.0], [0.7, 0.7], [0.7, -0.7]]).T
    return torch.from_numpy(hidden @ mix + noise * rng.normal(size=(n, 4)))


def segment(values, start=0, observed=None):
    seen = torch.ones(values.shape, dtype=torch.bool) if observed is None else observed
    return Segment(None, np.arange(len(values)), torch.where(seen, values, 0.0), seen, start=start)


def judged(regression, values, **given):
    part = segment(values, **given)
    errors, residuals = regression.judge(part.values, part.observed)
    return errors, residuals[:, :, 0]


def features_of(values):
    """What is known of each step, and which channel it is of; step by step."""
    rows = [
        np.concatenate([x[t], x[t - REACH : t].mean(0), x[t + 1 : t + 1 + REACH].mean(0)])
        for x in [values.numpy()]
        for t in range(REACH, len(x) - REACH)
    ]
    n_channels = values.shape[1]
    return np.array(rows), np.tile(np.arange(n_channels), 3)


def ridge(x, y):
    """Ridge as least squares: one more row per coefficient pulls it to zero."""
    pull = np.sqrt(CHANNEL_NOISE * len(x)) * np.eye(x.shape[1])
    rows, targets = np.vstack([x, pull]), np.append(y, np.zeros(x.shape[1]))
    return np.linalg.lstsq(rows, targets, rcond=None)[0]


def doubt(x, new, n_steps):
    """How much larger residuals of new steps are, as the regression is of so few steps."""
    precision = np.linalg.inv(x.T @ x / len(x) + CHANNEL_NOISE * np.eye(x.shape[1]))
    leverage = np.einsum("nf,fg,ng->n", new, precision, new)
    return np.sqrt(1 + leverage / n_steps)


def test_a_residual_is_that_of_the_ridge_regression_on_the_other_channels():
    values, new = plant(), plant(80, seed=1)
    regression = ChannelRegression.fit([segment(values)])
    x, owner = features_of(values)
    fresh, _ = features_of(new)

    errors, residuals = judged(regression, new)

    for channel in range(4):
        others = owner != channel
        coefficients = ridge(x[:, others], x[:, channel])
        wanted = fresh[:, channel] - fresh[:, others] @ coefficients
        scaled = np.abs(wanted) / regression.scale[channel].item() / doubt(x, fresh, len(x))
        np.testing.assert_allclose(residuals[:, channel], scaled, rtol=1e-4)
    np.testing.assert_allclose(errors.sum(1), (residuals**2).mean(1), rtol=1e-4)


def test_training_is_judged_by_what_the_other_parts_of_it_say():
    values = plant()
    regression = ChannelRegression.fit([segment(values)])
    x, owner = features_of(values)
    others, starts = owner != 2, np.arange(len(x))

    _, residuals = regression.judge(
        values, torch.ones(values.shape, dtype=torch.bool), torch.from_numpy(starts)
    )

    for part in np.array_split(starts, FOLDS):
        rest = np.setdiff1d(starts, part)
        coefficients = ridge(x[rest][:, others], x[rest, 2])
        wanted = x[part, 2] - x[part][:, others] @ coefficients
        wanted /= doubt(x[rest], x[part], len(x))
        found = residuals[part, 2, 0].numpy() * regression.scale[2].item()
        np.testing.assert_allclose(found, np.abs(wanted), rtol=1e-4, atol=1e-6)
    spread = residuals[:, :, 0].double().square().mean(0).sqrt()
    torch.testing.assert_close(spread, torch.ones(4, dtype=torch.float64), rtol=1e-4, atol=0)


def test_several_segments_are_as_one_in_which_no_window_reaches_across():
    values = plant()
    parts = [segment(values[:250], start=0), segment(values[250:], start=400)]
    regression = ChannelRegression.fit(parts)

    naive = np.concatenate([features_of(part.values)[0] for part in parts])
    owner = features_of(values)[1]
    coefficients = ridge(naive[:, owner != 0], naive[:, 0])
    fresh = features_of(plant(80, seed=1))[0]
    wanted = np.abs(fresh[:, 0] - fresh[:, owner != 0] @ coefficients)
    wanted /= doubt(naive, fresh, len(naive))
    _, residuals = judged(regression, plant(80, seed=1))
    np.testing.assert_allclose(
        residuals[:, 0], wanted / regression.scale[0].item(), rtol=1e-4, atol=1e-6
    )


def test_a_channel_that_no_longer_goes_with_the_others_has_the_largest_residual():
    regression = ChannelRegression.fit([segment(plant())])
    values = plant(300, seed=1)
    values[100:140, 2] = -values[100:140, 2]  # of usual size

    errors, _ = judged(regression, values)

    inside = errors[100 - REACH : 140 - REACH].sum(1).median()
    outside = torch.cat([errors[: 100 - 2 * REACH], errors[140 + REACH :]]).sum(1)
    assert inside > 10 * outside.median()
    assert errors[100 - REACH : 140 - REACH].sum(0).argmax() == 2


@pytest.mark.parametrize("channel", range(4))
@pytest.mark.parametrize("n_steps", [1, 60])
def test_the_error_is_that_of_the_channel_which_is_off_not_of_those_that_go_with_it(
    channel, n_steps
):
    regression = ChannelRegression.fit([segment(plant())])
    values = plant(200, seed=1)
    values[100 : 100 + n_steps, channel] += 4.0
    at = 100 + n_steps // 2 - REACH

    errors, _ = judged(regression, values)

    assert errors[at].argmax() == channel


def test_steps_are_missing_that_are_or_of_which_most_other_channels_are():
    regression = ChannelRegression.fit([segment(plant())])
    values = plant(80, seed=1)
    observed = torch.ones(values.shape, dtype=torch.bool)
    observed[40, 1] = False
    observed[50, :3] = False

    errors, _ = judged(regression, values, observed=observed)
    errors = regression.fold(errors)

    missing = errors.isnan()
    assert missing[:REACH].all()
    assert missing[-REACH:].all()
    assert missing[40].tolist() == [False, True, False, False]
    assert missing[50].all()
    assert missing[REACH:-REACH].sum() == 5


def test_a_channel_that_is_silent_makes_no_other_one_deviate():
    regression = ChannelRegression.fit([segment(plant())])
    values = plant(300, seed=1)
    observed = torch.ones(values.shape, dtype=torch.bool)
    observed[100:200, 0] = False

    silent, _ = judged(regression, values, observed=observed)
    whole, _ = judged(regression, values)

    inside = slice(110, 180)
    assert silent[inside, 1:].sum(1).mean() < 1.5 * whole[inside].sum(1).mean()


def test_what_is_missing_is_what_the_rest_lets_expect_pattern_by_pattern():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6)))
    given = torch.from_numpy(rng.random((50, 6)) > 0.3)
    precision = torch.linalg.inv(x.T @ x / 50 + 0.1 * torch.eye(6, dtype=x.dtype))

    found = _completed(torch.where(given, x, 0.0), given, precision)

    covariance = torch.linalg.inv(precision).numpy()
    for row, known, made in zip(x.numpy(), given.numpy(), found.numpy(), strict=True):
        np.testing.assert_array_equal(made[known], row[known])
        within = covariance[np.ix_(known, known)]
        between = covariance[np.ix_(~known, known)]
        wanted = between @ np.linalg.solve(within, row[known])
        np.testing.assert_allclose(made[~known], wanted, atol=1e-9)


def test_a_series_too_short_for_a_window_leaves_the_channels_as_residuals():
    regression = ChannelRegression.fit([segment(plant(REACH))])
    values = plant(60, seed=1)

    _, residuals = judged(regression, values)

    assert residuals.isfinite().all()
    assert regression.folds is None


@pytest.mark.parametrize("n_channels", [MOST_CHANNELS, MOST_CHANNELS + 1])
def test_many_channels_are_judged_by_the_step_alone(n_channels):
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(size=(60, n_channels)))
    regression = ChannelRegression.fit([segment(values)])

    before = judged(regression, values)[1]
    changed = values.clone()
    changed[: REACH - 1] += 5.0

    same = torch.equal(judged(regression, changed)[1][0], before[0])
    assert same == (n_channels > MOST_CHANNELS)
    assert regression.weights.shape == (n_features(n_channels), n_channels)
