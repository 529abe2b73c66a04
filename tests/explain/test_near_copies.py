from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from anomdiff import TabularDetector
from anomdiff.explain import row_explanation
from anomdiff.explain.near_copies import ensemble_of_copies
from tests.settings import TINY
from tests.tables import mixed_table


def wide_table(n, n_columns, seed):
    """Draw numbers that follow three hidden ones, with gaps, beside a category and constants."""
    rng = np.random.default_rng(seed)
    loads = np.random.default_rng(99).normal(size=(3, n_columns))
    numbers = rng.normal(size=(n, 3)) @ loads + rng.normal(size=(n, n_columns))
    frame = pd.DataFrame(numbers, columns=[f"c{i}" for i in range(n_columns)])
    frame = frame.mask(rng.random(frame.shape) < 0.05)
    frame["still"], frame["kind"] = 1.0, rng.choice(["a", "b", "c"], n)
    return frame.assign(count=rng.poisson(4, n), flag=rng.random(n) < 0.2)


@pytest.fixture(scope="module")
def mixed():
    """A detector of a narrow table with all kinds of columns; do not change it."""
    return TabularDetector(**TINY).fit(mixed_table(400, seed=0))


@pytest.fixture(scope="module")
def wide():
    """A detector of a wide table; do not change it."""
    return TabularDetector(**TINY).fit(wide_table(300, 90, seed=0))


def _encoded(detector, frame):
    return detector.model_.encode(detector.model_.schema.check(frame))


def _copies(detector, frame, row):
    """The row with each column of each other row in its place."""
    values, observed = _encoded(detector, frame)
    parts = detector.model_.column_masks
    others = range(1, min(len(frame), 9))
    x = torch.cat([torch.where(parts, values[i], values[row]) for i in others])
    return (
        values[row],
        observed[row],
        x,
        torch.cat([torch.where(parts, observed[i], observed[row]) for i in others]),
    )


@pytest.mark.parametrize("name", ["mixed", "wide"])
@pytest.mark.parametrize("corrupted", [None, 30.0, 1e5])
@pytest.mark.parametrize("fitted", [False, True])
def test_copies_have_the_components_that_they_have_as_rows(name, corrupted, fitted, request):
    detector = request.getfixturevalue(name)
    draw = mixed_table if name == "mixed" else lambda n, seed: wide_table(n, 90, seed)
    frame = draw(400 if name == "mixed" else 300, seed=0)[:9] if fitted else draw(9, seed=5)
    if corrupted:
        frame.iloc[0, 0] = corrupted
    row, seen, values, observed = _copies(detector, frame, 0)
    model = detector.model_

    fast = replace(model, ensemble=ensemble_of_copies(model.ensemble, row, seen))

    expected, found = (each.components(values, observed) for each in (model, fast))
    for part, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, part, rtol=1e-6, atol=1e-6)
    assert fast.ensemble.names == model.ensemble.names


def test_reference_rows_that_exclude_themselves_do_so_in_copies():
    frame = mixed_table(120, seed=0)
    detector = TabularDetector(**TINY)
    detector.screen(frame)
    row, seen, values, observed = _copies(detector, frame, 0)
    model = detector.model_

    fast = replace(model, ensemble=ensemble_of_copies(model.ensemble, row, seen))

    everything = torch.cat([row[None], values]), torch.cat([seen[None], observed])
    for part, other in zip(
        model.components(*everything), fast.components(*everything), strict=True
    ):
        torch.testing.assert_close(other, part, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["mixed", "wide"])
def test_an_explanation_is_the_same_however_copies_are_scored(name, request, monkeypatch):
    detector = request.getfixturevalue(name)
    frame = mixed_table(6, seed=3) if name == "mixed" else wide_table(6, 90, seed=3)
    frame.iloc[0, 0], frame.iloc[1, 2] = 40.0, -60.0
    answers = []

    for limit in (1, 10**9):
        monkeypatch.setattr(row_explanation, "MANY_COLUMNS", limit)
        answers.append(detector.explain(frame).sort_values(["row", "column"], kind="stable"))

    fast, plain = (each.reset_index(drop=True) for each in answers)
    pd.testing.assert_frame_equal(fast, plain, rtol=1e-4, atol=1e-4)
    sums = fast.groupby("row", sort=False)["contribution"].sum()
    scores = detector.score_frame(frame)["anomaly_score"].reindex(sums.index)
    np.testing.assert_allclose(sums, scores, rtol=1e-9)


def test_a_repair_is_the_same_however_copies_are_scored(wide, monkeypatch):
    frame = wide_table(3, 90, seed=3)
    frame.iloc[0, 0], frame.iloc[1, 2], frame.iloc[1, 5] = 400.0, -600.0, 500.0
    monkeypatch.setattr(wide, "threshold_", float(np.max(wide.calibration_scores_)))
    answers = []

    for limit in (1, 10**9):
        monkeypatch.setattr(row_explanation, "MANY_COLUMNS", limit)
        answers.append(wide.repair(frame))

    pd.testing.assert_frame_equal(*answers)
    assert not answers[0].equals(frame)


def test_copies_without_a_change_have_the_components_of_the_row(wide):
    values, observed = _encoded(wide, wide_table(2, 90, seed=5))
    model = wide.model_

    fast = replace(model, ensemble=ensemble_of_copies(model.ensemble, values[0], observed[0]))

    rows = values[:1].repeat(3, 1), observed[:1].repeat(3, 1)
    for part, other in zip(model.components(*rows), fast.components(*rows), strict=True):
        torch.testing.assert_close(other, part, rtol=1e-6, atol=1e-6)


def test_that_copies_like_the_row_are_skipped_changes_nothing(wide, monkeypatch):
    rows = row_explanation.Cells(*_encoded(wide, wide_table(6, 90, seed=3)))
    same = torch.arange(rows.values.shape[1]) % 3 > 0
    new = rows.values.roll(1, 0), rows.observed.roll(1, 0)
    pairs = zip(rows, new, strict=True)
    option = row_explanation.Cells(*(torch.where(same, *pair) for pair in pairs))
    scores, answers = wide.model_.score(*rows), []

    for limit in (0.0, -1.0):  # from -1 on, every copy differs
        monkeypatch.setattr(row_explanation, "SAME", limit)
        answers += row_explanation.replaced_scores(wide.model_, rows, [option], scores)

    torch.testing.assert_close(*answers, rtol=1e-5, atol=1e-5)


def test_scores_of_the_wanted_columns_are_the_same_without_the_others(wide):
    rows = row_explanation.Cells(*_encoded(wide, wide_table(4, 90, seed=3)))
    option = row_explanation.Cells(*(each.roll(1, 0) for each in rows))
    model, scores = wide.model_, wide.model_.score(*rows)
    generator = torch.Generator().manual_seed(0)
    wanted = torch.rand(len(scores), len(model.column_masks), generator=generator) < 0.3

    (some,) = row_explanation.replaced_scores(model, rows, [option], scores, wanted)

    (everything,) = row_explanation.replaced_scores(model, rows, [option], scores)
    torch.testing.assert_close(some[wanted], everything[wanted], rtol=1e-5, atol=1e-5)
