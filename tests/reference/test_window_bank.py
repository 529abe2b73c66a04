import pytest
import torch

from anomdiff.reference.sliding_windows import LEAST_SHARE
from anomdiff.reference.window_bank import LEAST_APART, UncentredBank, WindowBank


def bank_of(values, length, kind=UncentredBank):
    windows = values.unfold(0, length, 1)
    return kind(length, windows.flatten(1).contiguous(), torch.arange(len(windows)))


def naive(bank, values, observed, starts=None):
    """Errors of the nearest reference window, and what it leaves at the places."""
    length = bank.length
    errors, left = [], []
    for i in range(len(values) - length + 1):
        x, seen = values[i : i + length].T, observed[i : i + length].T
        rows = [row.reshape(x.shape) for row in bank.windows]
        if starts is not None:
            apart = (bank.starts - starts[i]).abs() >= max(2 * length, LEAST_APART)
            rows = [row for row, far in zip(rows, apart.tolist(), strict=True) if far]
        nearest = min(rows, key=lambda row, x=x, seen=seen: ((row - x) * seen).square().sum())
        shares = seen.double().mean(1)
        error = ((nearest - x) * seen).square().sum(1) / shares.clamp(min=LEAST_SHARE) / len(x)
        judged = (shares > 0) & (shares.mean() >= LEAST_SHARE)
        errors.append(torch.where(judged, error, torch.nan))
        left.append(torch.where(seen, (nearest - x).abs(), torch.nan)[:, bank.places])
    return torch.stack(errors), torch.stack(left)


@pytest.mark.parametrize("excluded", [False, True], ids=["new", "training"])
@pytest.mark.parametrize("seen", [1.0, 0.7])
@pytest.mark.parametrize("length", [1, 6])
def test_uncentred_windows_are_compared_as_they_are(length, seen, excluded):
    reference = torch.randn(60, 2, dtype=torch.float64)
    observed = torch.rand(60, 2) < seen
    values = reference if excluded else torch.randn(60, 2, dtype=torch.float64)
    values = torch.where(observed, values, 0.0)
    bank = bank_of(reference, length)
    starts = torch.arange(60 - length + 1) if excluded else None

    errors, residuals = bank.judge(values, observed, starts)

    expected = naive(bank, values, observed, starts)
    known = ~expected[0].isnan().all(1)
    assert torch.equal(errors.isnan().all(1), ~known)
    torch.testing.assert_close(errors[known], expected[0][known], equal_nan=True)
    torch.testing.assert_close(
        residuals[known], expected[1][known], equal_nan=True, check_dtype=False
    )


def test_a_level_is_an_error_of_uncentred_windows_only():
    values, observed = torch.randn(40, 1).double(), torch.ones(40, 1, dtype=torch.bool)
    shifted = values + 100.0

    errors = bank_of(values, 4).squared_errors(shifted, observed)
    centred = bank_of(values - 0.0, 4).squared_errors(values, observed)

    assert (errors > 4 * 50.0**2).all()
    torch.testing.assert_close(centred, torch.zeros_like(centred))


def test_long_uncentred_windows_are_apart_by_twice_their_length_and_short_ones_by_more():
    nothing = torch.zeros(0)

    assert UncentredBank(32, nothing, nothing).apart == 64
    assert UncentredBank(1, nothing, nothing).apart == LEAST_APART
    assert WindowBank(32, nothing, nothing).apart == 32
