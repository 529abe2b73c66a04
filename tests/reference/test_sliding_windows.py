import pytest
import torch

from anomdiff.reference.sliding_windows import LEAST_SHARE, fold_residuals


def naive(residuals, places, share):
    n_windows, n_channels, _ = residuals.shape
    folded = torch.full((n_windows + places[-1], n_channels), torch.nan, dtype=residuals.dtype)
    for step in range(len(folded)):
        windows = [(step - place, k) for k, place in enumerate(places)]
        inside = [(window, k) for window, k in windows if 0 <= window < n_windows]
        for channel in range(n_channels):
            left = sorted(residuals[window, channel, k].item() for window, k in inside)
            left = sorted(x for x in left if x == x)
            if left and len(left) >= LEAST_SHARE * len(places):
                folded[step, channel] = left[round((len(left) - 1) * share)]
    return folded


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 1.0])
@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize("places", [[0], [3], [0, 1, 2, 3], [0, 4, 8, 12, 16]], ids=str)
def test_folded_residuals_equal_the_naive_loop(places, gaps, share):
    residuals = torch.rand(40, 2, len(places), dtype=torch.float64)
    residuals[torch.rand(residuals.shape) < gaps] = torch.nan

    folded = fold_residuals(residuals, torch.tensor(places), share)

    torch.testing.assert_close(folded, naive(residuals, places, share), equal_nan=True)


def test_steps_that_few_windows_cover_are_missing_at_both_ends():
    folded = fold_residuals(torch.rand(40, 1, 4), torch.arange(4), 0.25)

    assert torch.nonzero(folded[:, 0].isnan())[:, 0].tolist() == [0, 42]


def test_folding_leaves_the_residuals_as_they_are():
    residuals = torch.rand(20, 2, 4)
    before = residuals.clone()

    fold_residuals(residuals, torch.arange(4), 0.25)

    assert torch.equal(residuals, before)
