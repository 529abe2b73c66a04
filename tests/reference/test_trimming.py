import math

import pytest
import torch

from anomdiff.reference.trimming import central_rows


def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("share", [0.5, 0.7, 0.999, 1.0])
def test_as_many_rows_are_central_as_asked_for(share):
    rows = torch.randn(501, 3, dtype=torch.float64)

    central = central_rows([rows, rows**3], share, generator())

    assert central.sum() == math.ceil(share * 501)


@pytest.mark.parametrize("n_normal", [400, 8000])
def test_anomalies_that_are_alike_are_not_central(n_normal):
    clump = torch.randn(60, 4, dtype=torch.float64) * 0.01 + 6
    rows = torch.cat([torch.randn(n_normal, 4, dtype=torch.float64), clump])

    central = central_rows([rows], 0.8, generator())

    assert not central[n_normal:].any()


def test_every_view_counts():
    rows = torch.randn(500, 2, dtype=torch.float64)
    strange = rows.clone()
    strange[:10] += 8

    alone = central_rows([rows], 0.5, generator())[:10].sum()
    together = central_rows([rows, strange], 0.5, generator())[:10].sum()
    assert together < alone
