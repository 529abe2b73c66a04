import numpy as np
import pandas as pd
import pytest

from benchmarks.tables.protocols import (
    PUBLISHED_LEAST,
    PUBLISHED_MOST,
    cap,
    contaminated,
    published,
    shuffled,
)
from benchmarks.tables.reading import Table
from tests.benchmarks.labelled import labelled_table


def as_set(rows):
    return {tuple(row) for row in rows}


@pytest.mark.parametrize("n_normal", [40, 41])
def test_shuffled_shares_the_normal_rows_and_tests_all_anomalies(n_normal):
    table = labelled_table(n_normal)

    split = shuffled(table, seed=3)

    assert len(split.train) == n_normal // 2
    assert not as_set(split.train) & as_set(split.test)
    assert as_set(split.train) | as_set(split.test) == as_set(table.rows)
    assert as_set(split.test[split.anomalous]) == as_set(table.rows[table.anomalous])


def test_shuffled_depends_on_the_seed_only():
    table = labelled_table()

    first, again, other = shuffled(table, 0), shuffled(table, 0), shuffled(table, 1)

    np.testing.assert_array_equal(first.train, again.train)
    assert as_set(first.train) != as_set(other.train)


def test_shuffled_keeps_frames_frames():
    table = labelled_table()
    frame = pd.DataFrame(table.rows).assign(kind="a")

    split = shuffled(Table(frame, table.anomalous), seed=0)

    assert list(split.train.columns) == list(frame.columns)
    assert not set(split.train.index) & set(split.test.index)


def test_published_resamples_small_sets_to_1000_rows_and_leaks():
    split = published(labelled_table(100, 20), seed=0)

    assert len(split.train) + len(split.test) == PUBLISHED_LEAST
    assert as_set(split.train) & as_set(split.test)


def test_published_trains_on_the_first_normal_half_in_file_order():
    table = labelled_table(1200, 30)

    split = published(table, seed=0)

    np.testing.assert_array_equal(split.train, table.rows[~table.anomalous][:600])
    assert split.anomalous.sum() == 30


def test_published_subsamples_large_sets():
    split = published(labelled_table(PUBLISHED_MOST + 100, 900, n_columns=1), seed=0)

    assert len(split.train) + len(split.test) == PUBLISHED_MOST


@pytest.mark.parametrize(("n_normal", "n_anomalies"), [(1, 5), (40, 0)])
def test_sets_without_normal_rows_or_anomalies_are_refused(n_normal, n_anomalies):
    with pytest.raises(ValueError, match=f"got {n_normal} and {n_anomalies}"):
        shuffled(labelled_table(n_normal, n_anomalies), seed=0)


def test_caps_keep_the_share_of_anomalies():
    split = cap(shuffled(labelled_table(2000, 250), seed=0), max_train=300, max_test=500, seed=0)

    assert len(split.train) == 300
    assert len(split.test) == len(split.anomalous) == 500
    assert split.anomalous.sum() == 100
    assert (split.test[split.anomalous].mean(axis=1) > 4).all()


@pytest.mark.parametrize("limit", [30, 1000])
def test_contaminated_scores_the_rows_it_was_fitted_on(limit):
    split = cap(contaminated(labelled_table(), seed=0), max_train=limit, max_test=1000, seed=0)

    assert split.test is split.train
    assert len(split.anomalous) == len(split.train) == min(limit, 47)
