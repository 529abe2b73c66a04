import numpy as np
import pytest
import torch

from anomdiff.scoring.local_variation import LEAST_DIFFERENCE, LocalVariation

LENGTH = 8


def naive(values, observed):
    found = []
    for start in range(len(values) - LENGTH + 1):
        for channel in range(values.shape[1]):
            x, seen = (part[start : start + LENGTH, channel] for part in (values, observed))
            pairs = [i for i in range(LENGTH - 1) if seen[i] and seen[i + 1]]
            moves = [abs(x[i + 1] - x[i]).item() for i in pairs]
            known = len(moves) >= (LENGTH - 1) / 2
            found.append(1 / (np.mean(moves) + LEAST_DIFFERENCE) if known else np.nan)
    return torch.tensor(found).reshape(-1, values.shape[1], 1)


@pytest.mark.parametrize("seen", [1.0, 0.7])
def test_quietness_equals_the_naive_loop(seen):
    observed = torch.rand(60, 3) < seen
    values = torch.where(observed, torch.randn(60, 3, dtype=torch.float64), 0.0)

    errors, quiet = LocalVariation(LENGTH).judge(values, observed)

    torch.testing.assert_close(quiet, naive(values, observed).float(), equal_nan=True)
    assert errors.shape == quiet.shape[:2]
    assert errors.isnan().all()


def test_nothing_is_quieter_than_a_frozen_channel_at_any_level():
    values = torch.randn(60, 3, dtype=torch.float64)
    values[20:40, 1] = values[20, 1]

    _, quiet = LocalVariation(LENGTH).judge(values, torch.ones(60, 3, dtype=torch.bool))

    frozen = quiet[20 : 40 - LENGTH + 1, 1, 0]
    torch.testing.assert_close(frozen, torch.full_like(frozen, 1 / LEAST_DIFFERENCE))
    assert (quiet <= frozen[0]).all()
    assert int((quiet == quiet.max()).sum()) == len(frozen)
