import numpy as np
import pandas as pd
import pytest
import torch

from anomdiff import TabularDetector, load, save
from anomdiff.conditional.reference_rows import ReferenceRows
from anomdiff.diffusion.noise import seeded
from tests.settings import TINY

SHORT = {**TINY, "max_iter": 150, "width": 32}


def test_the_same_seed_draws_the_same(fitted, holed):
    rows, _ = holed

    first, again = (fitted.impute(rows, n_draws=2, random_state=4) for _ in range(2))

    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(*(fitted.sample(20, random_state=4) for _ in range(2)))


def test_samples_have_columns_types_and_values_of_training(fitted, table):
    drawn = fitted.sample(300, random_state=0)

    assert drawn.dtypes.to_dict() == table.dtypes.to_dict()
    assert set(drawn["kind"]) <= set(table["kind"])
    assert drawn["size"].between(table["size"].min(), table["size"].max()).all()
    assert set(drawn["count"]) <= set(table["count"])
    assert 0.02 < drawn["weight"].isna().mean() < 0.25


def test_ranks_of_drawn_rows_do_not_matter(fitted):
    reference = ReferenceRows.of(fitted.model_)
    is_rank = torch.from_numpy(~fitted.model_.encoder.views()[0])
    other = torch.where(is_rank, torch.randn(reference.rows.shape).double(), reference.rows)

    cells, same = (reference.cells(rows, seeded(0)) for rows in (reference.rows, other))

    assert is_rank.any()
    pd.testing.assert_frame_equal(same, cells)


def test_samples_keep_marginals_and_dependencies(pair):
    detector, _ = pair

    drawn = detector.sample(1500, random_state=0)

    np.testing.assert_allclose(drawn["x"].quantile([0.1, 0.9]), [-1.28, 1.28], atol=0.15)
    assert (drawn["y"] - 2 * drawn["x"]).std() < 0.5
    assert (drawn["high"] == (drawn["x"] > 0)).mean() > 0.95


def test_samples_are_no_copies(pair):
    detector, table = pair

    drawn = detector.sample(500, random_state=0)

    assert not drawn.merge(table, on=["x", "y"]).size


def test_samples_are_as_coarse_as_the_training_cells():
    rng = np.random.default_rng(0)
    amount = np.where(rng.random(400) < 0.3, 0.0, rng.gamma(2.0, 1 / 3, 400) / 7)
    table = pd.DataFrame({"amount": amount, "tenths": rng.normal(size=400).round(1)})

    drawn = TabularDetector(**SHORT).fit(table).sample(1000, random_state=0)

    assert (drawn["amount"] == 0).mean() == pytest.approx((amount == 0).mean(), abs=0.05)
    assert set(drawn["tenths"]) <= set(table["tenths"])


def test_conditions_fix_columns_and_move_the_others(fitted, pair):
    detector, _ = pair

    drawn = detector.sample(200, conditions={"x": 1.5}, random_state=0)
    tools = fitted.sample(200, conditions={"kind": "tool"}, random_state=0)
    books = fitted.sample(200, conditions={"kind": "book"}, random_state=0)

    assert (drawn["x"] == 1.5).all()
    assert drawn["y"].mean() == pytest.approx(3.0, abs=0.3)
    assert (tools["kind"] == "tool").all()
    assert (tools["price"] / tools["size"]).median() > 1.7 * (
        books["price"] / books["size"]
    ).median()


def test_conditions_may_differ_from_row_to_row(pair):
    detector, _ = pair

    drawn = detector.sample(3, conditions={"x": [-1.0, 0.0, 1.0]}, random_state=0)

    assert drawn["x"].tolist() == [-1.0, 0.0, 1.0]
    assert drawn["y"].is_monotonic_increasing


def test_a_loaded_detector_draws_the_same(pair, tmp_path):
    detector, _ = pair

    again = load(save(detector, tmp_path / "model"))

    pd.testing.assert_frame_equal(*(d.sample(50, random_state=1) for d in (detector, again)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d: d.sample(0), "n of at least 1; got 0"),
        (lambda d: d.sample(2, conditions={"colour": 1}), "need conditions on the columns"),
        (lambda d: d.sample(2, conditions={"kind": "boat"}), "'kind'"),
    ],
)
def test_what_cannot_be_done_is_said(fitted, call, words):
    with pytest.raises(ValueError, match=words):
        call(fitted)
