import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.schema import Schema
from anomdiff.models.corruption import CORRUPTIONS, corrupted_copies


def payments(n=400):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "amount": rng.gamma(2.0, 10.0, n),
            "count": rng.integers(1, 9, n),
            "shop": rng.choice(["a", "b", "c"], n),
            "night": rng.random(n) < 0.3,
            "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 90, n), "D"),
            "gap": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
        }
    )


def corrupted(kind, frame=None, seed=0):
    frame = payments() if frame is None else frame
    schema = Schema.infer(frame)
    checked = schema.check(frame)
    copies = corrupted_copies(checked, checked, schema, kind, np.random.RandomState(seed))
    return checked, copies


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_copies_have_the_columns_and_dtypes_of_checked_rows_and_leave_these_as_they_are(kind):
    before = Schema.infer(payments()).check(payments())

    checked, copies = corrupted(kind)

    pd.testing.assert_frame_equal(checked, before)
    assert copies.dtypes.equals(checked.dtypes)
    assert len(copies) >= 150


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_few_rows_are_copied_until_there_are_enough_and_copies_depend_on_the_seed(kind):
    frame = payments(20)

    copies = [corrupted(kind, frame, seed)[1] for seed in (0, 0, 1)]

    assert len(copies[0]) == 160
    pd.testing.assert_frame_equal(copies[0], copies[1])
    assert not copies[0].equals(copies[2])


def test_mixed_rows_have_cells_of_their_columns_about_half_of_them_from_other_rows():
    frame = pd.DataFrame({"one": np.arange(200.0), "two": np.arange(200.0) + 1000})

    checked, copies = corrupted("mixed", frame.sample(frac=1, random_state=0))

    for name in checked:
        assert set(copies[name]) <= set(checked[name])
    # Rows of two cells stay whole where both were kept or, hardly ever, both came from one row.
    assert (copies["two"] == copies["one"] + 1000).mean() == pytest.approx(0.25, abs=0.1)


def test_moved_numbers_are_two_to_six_standard_deviations_away_and_one_per_row_is_moved():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 4)), columns=list("abcd"))

    checked, copies = corrupted("moved", frame)

    order = np.random.RandomState(0).permutation(300)  # the rows that were copied
    away = (copies.to_numpy() - checked.to_numpy()[order]) / checked.to_numpy().std(axis=0)
    moved = np.abs(away) > 1e-9
    assert moved.sum(axis=1).mean() == pytest.approx(1, abs=0.2)
    assert ((np.abs(away[moved]) > 2) & (np.abs(away[moved]) < 6)).all()
    assert (away[moved] > 0).mean() == pytest.approx(0.5, abs=0.15)


def test_moved_cells_that_are_no_numbers_keep_to_known_values():
    checked, copies = corrupted("moved")

    for name in ("shop", "night", "day"):
        assert set(copies[name]) <= set(checked[name])
    assert copies["gap"].isna().mean() == pytest.approx(checked["gap"].isna().mean(), abs=0.1)


def test_a_column_without_known_cells_and_huge_numbers_do_no_harm():
    frame = pd.DataFrame({"huge": [1e300, -1e300] * 20, "other": np.arange(40.0)})
    schema = Schema.infer(frame)
    checked = schema.check(frame)

    copies = corrupted_copies(
        checked, checked.assign(other=np.nan), schema, "moved", np.random.RandomState(0)
    )

    assert set(copies["other"]) == set(frame["other"])
    assert not copies["huge"].isna().any()
