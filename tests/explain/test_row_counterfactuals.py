import warnings

import numpy as np
import pandas as pd
import pytest

from anomdiff import TabularDetector
from tests.settings import TINY, TINY_NETWORK
from tests.tables import mixed_table


@pytest.fixture(scope="module")
def bad():
    """One to three corrupted cells a row, ten normal rows, an index that repeats itself."""
    frame = mixed_table(40, seed=11).assign(note=[f"note {i}" for i in range(40)])
    frame.iloc[10:, frame.columns.get_loc("price")] = 700.0
    frame.iloc[20:, frame.columns.get_loc("kind")] = "yacht"
    frame.iloc[30:, frame.columns.get_loc("count")] = 90
    frame.index = np.arange(40) // 2
    return frame


@pytest.fixture(scope="module")
def repaired(fitted, bad):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the note is not in the training rows
        return fitted.repair(bad)


def n_changed(before, after):
    return ((before != after) & (before.notna() | after.notna())).sum(axis=1).to_numpy()


def is_anomaly(detector, frame):
    return detector.score_frame(frame[detector.columns_])["is_anomaly"].to_numpy()


def test_repaired_rows_are_normal(fitted, bad, repaired):
    assert is_anomaly(fitted, bad)[10:].all()
    assert not is_anomaly(fitted, repaired).any()


def test_normal_rows_come_back_as_they_are(fitted, bad, repaired):
    normal = ~is_anomaly(fitted, bad)

    pd.testing.assert_frame_equal(repaired[normal], bad[normal])


def test_columns_dtypes_and_index_are_those_of_the_input(bad, repaired):
    assert repaired.index.equals(bad.index)
    pd.testing.assert_series_equal(repaired.dtypes, bad.dtypes)
    pd.testing.assert_series_equal(repaired["note"], bad["note"])


def test_few_more_columns_change_than_were_corrupted(bad, repaired):
    changed = n_changed(bad, repaired)

    assert np.median(changed[10:20]) == 1
    assert np.median(changed[20:30]) == 2
    assert np.median(changed[30:]) == 3


def test_no_change_can_be_taken_back(fitted, bad, repaired):
    for i in range(25, 30):
        for column in bad.columns[(bad.iloc[i] != repaired.iloc[i]) & bad.iloc[i].notna()]:
            one_back = repaired.iloc[[i]].copy()
            one_back[column] = bad.iloc[[i]][column]

            assert is_anomaly(fitted, one_back).all()


def test_max_columns_is_kept_and_what_stays_anomalous_is_said(fitted, bad):
    known = bad.drop(columns="note")[30:]

    with pytest.warns(UserWarning, match="rows stay above the threshold, of 10 before") as caught:
        repaired = fitted.repair(known, max_columns=1)

    left = is_anomaly(fitted, repaired)
    assert caught[0].filename == __file__
    assert (n_changed(known, repaired) <= 1).all()
    assert str(caught[0].message).startswith(f"{left.sum()} rows stay")
    before, after = (fitted.score_frame(each)["anomaly_score"] for each in (known, repaired))
    assert (after <= before).all()


def test_immutable_columns_do_not_change(fitted, bad):
    known = bad.drop(columns="note")[10:20]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some may not be repaired
        repaired = fitted.repair(known, immutable=["price", "sold"])

    pd.testing.assert_frame_equal(repaired[["price", "sold"]], known[["price", "sold"]])


def test_categories_stay_and_the_input_is_not_changed():
    frame = mixed_table(400, seed=0).astype({"kind": "category", "count": "int32"})
    detector = TabularDetector(max_iter=60, **TINY_NETWORK).fit(frame)
    bad = frame[:6].assign(price=900.0, count=np.int32(99))
    bad["kind"] = bad["kind"].cat.add_categories("yacht").where([True] * 3 + [False] * 3, "yacht")
    before = bad.copy()

    repaired = detector.repair(bad)

    pd.testing.assert_frame_equal(bad, before)
    pd.testing.assert_series_equal(repaired.dtypes, bad.dtypes)
    assert not is_anomaly(detector, repaired).any()


def test_a_repair_does_not_depend_on_the_batch(fitted, bad, repaired):
    known = bad.drop(columns="note")

    alone = pd.concat([fitted.repair(known[i : i + 1]) for i in range(8, 14)])

    pd.testing.assert_frame_equal(alone, repaired.drop(columns="note")[8:14])


def test_an_array_comes_back_as_a_frame_of_normal_rows():
    rows = np.random.default_rng(0).normal(size=(300, 4))
    detector = TabularDetector(**TINY).fit(rows)

    repaired = detector.repair(np.array([[0.0, 0.0, 9.0, 0.0], [0.1, 0.2, 0.3, 0.4]]))

    assert repaired.columns.tolist() == ["x0", "x1", "x2", "x3"]
    assert not detector.score_frame(repaired)["is_anomaly"].any()
    assert repaired.iloc[1].tolist() == [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_columns": 0}, "need max_columns of at least 1, or None; got 0"),
        ({"immutable": ["colour"]}, "need immutable columns among .*got .'colour'."),
        ({"immutable": list(mixed_table(1, 0))}, "need a column that may change"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(fitted, table, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        fitted.repair(table[:2], **arguments)

    assert "\n" not in str(caught.value)


def test_rows_that_repeat_are_repaired_by_others():
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({name: rng.random(400) < 0.4 for name in "uvw"})
    detector = TabularDetector(alpha=0.3, max_iter=50, **TINY_NETWORK)
    flagged = rows[detector.fit(rows).score_frame(rows)["is_anomaly"]]

    assert len(flagged) > 50
    assert not is_anomaly(detector, detector.repair(flagged)).any()
