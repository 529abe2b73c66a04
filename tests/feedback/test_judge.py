"""Laws of verdicts: what they silence, what they never silence, and when they are learned from."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import cdist

from anomdiff.feedback.judge import COLUMNS, Judge
from anomdiff.feedback.nearest_verdicts import Points, default_radius, nearest_rows
from anomdiff.feedback.reweighting import LEAST_VERDICTS, Examples, Reweighting
from anomdiff.feedback.verdicts import CONFIRMED, FALSE_ALARM, MISSED
from anomdiff.thresholds.severity import severity
from tests.tables import mixed_table

N_JUDGED = 18  # too few to learn from, which takes seconds


@pytest.fixture
def rows(tiny):
    """Rows of a night, some without a weight."""
    return mixed_table(N_JUDGED, seed=5)[tiny.columns_]


def _judge(detector, rows, verdicts, **more):
    return Judge.fit(detector, rows, verdicts, [f"v{i:02}" for i in range(len(rows))], **more)


@pytest.mark.parametrize("radius", [None, 0.0, 100.0])
def test_copies_of_a_false_alarm_are_muted_by_it_and_copies_of_a_confirmed_one_never(
    tiny, rows, radius
):
    verdicts = [FALSE_ALARM, CONFIRMED, MISSED] * 6

    judge = _judge(tiny, rows, verdicts, radius=radius)
    judged = judge.judge(rows)

    for i, verdict in enumerate(verdicts):
        line = judged.iloc[i]
        assert line["muted_by"] == (f"verdict v{i:02}" if verdict == FALSE_ALARM else "")
        assert line["nearest_verdict"] == f"{verdict}: v{i:02}"
        assert line["verdict_distance"] == 0
    assert judge.silenced().tolist() == [verdict == FALSE_ALARM for verdict in verdicts]


def test_of_a_row_that_was_judged_both_ways_no_copy_is_muted(tiny, rows):
    twice = pd.concat([rows.head(1), rows.head(1)])

    judge = _judge(tiny, twice, [FALSE_ALARM, CONFIRMED], radius=100.0)

    assert judge.judge(rows.head(1))["muted_by"].tolist() == [""]
    assert not judge.silenced().any()


@pytest.mark.parametrize("radius", [0.5, 2.0, 5.0])
def test_a_row_is_muted_within_the_radius_if_no_confirmed_one_is_as_near(tiny, rows, radius):
    judged_rows, night = rows.head(12), mixed_table(40, seed=9)[tiny.columns_]
    verdicts = [FALSE_ALARM, FALSE_ALARM, CONFIRMED] * 4
    points = [Points.of(tiny, each).compared.numpy() for each in (night, judged_rows)]
    distances = cdist(*points)
    is_false = np.array(verdicts) == FALSE_ALARM
    false, confirmed = distances[:, is_false].min(1), distances[:, ~is_false].min(1)

    judged = _judge(tiny, judged_rows, verdicts, radius=radius).judge(night)

    expected = (false <= radius) & (false < confirmed)
    np.testing.assert_array_equal(judged["muted_by"] != "", expected)
    near = np.minimum(false, confirmed)
    np.testing.assert_allclose(judged["verdict_distance"], np.where(near <= radius, near, np.nan))


def test_the_order_of_verdicts_does_not_matter(tiny):
    rows = mixed_table(30, seed=5)[tiny.columns_]
    verdicts = np.where(rows["kind"] == "book", CONFIRMED, FALSE_ALARM)
    names = np.array([f"v{i:02}" for i in range(30)])
    order = np.random.default_rng(0).permutation(30)
    night = mixed_table(40, seed=9)[tiny.columns_]

    found = [
        Judge.fit(tiny, rows.iloc[own], list(verdicts[own]), list(names[own])).judge(night)
        for own in (np.arange(30), order)
    ]

    pd.testing.assert_frame_equal(*found, check_exact=True)
    assert found[0]["priority"].nunique() > 30


def test_what_verdicts_say_of_a_row_does_not_depend_on_its_batch(tiny, rows):
    judge = _judge(tiny, rows, [FALSE_ALARM, CONFIRMED] * 9, radius=2.0)
    night = mixed_table(20, seed=9)[tiny.columns_]

    alone = pd.concat([judge.judge(night.iloc[[i]]) for i in range(20)])

    pd.testing.assert_frame_equal(alone, judge.judge(night), rtol=1e-9)


def test_few_verdicts_change_no_priority_but_near_a_confirmed_one_it_is_higher(tiny, rows):
    night = mixed_table(40, seed=9)[tiny.columns_]
    scores = tiny.score_frame(night)["anomaly_score"]
    own = severity(scores, tiny.calibration_scores_, tiny.threshold_)

    judge = _judge(tiny, rows.head(6), [FALSE_ALARM, CONFIRMED] * 3, radius=3.0)
    judged = judge.judge(night)

    raised = judged["nearest_verdict"].fillna("").str.startswith(CONFIRMED).to_numpy()
    assert raised.any()
    assert not raised.all()
    np.testing.assert_allclose(judged["priority"][~raised], own[~raised], rtol=1e-9)
    assert (judged["priority"][raised] > own[raised]).all()
    assert judged["priority"].between(0, 100).all()
    assert "not learned from: 20 are needed" in judge.reweighting.told
    assert list(judged) == COLUMNS


def test_a_cell_that_only_one_of_two_rows_lacks_keeps_them_apart(tiny, rows):
    whole = rows[rows["weight"].notna()].head(1)
    lacking = whole.assign(weight=np.nan)
    judge = _judge(tiny, whole, [FALSE_ALARM], radius=0.9)

    assert judge.judge(whole)["muted_by"].tolist() == ["verdict v00"]
    assert judge.judge(lacking)["muted_by"].tolist() == [""]


def test_the_radius_is_the_median_distance_of_held_out_rows_to_their_nearest_fellow(tiny):
    model = tiny.model_
    reference = (model.reference.values * model.distance_weights).numpy()
    apart = cdist(reference, reference)
    np.fill_diagonal(apart, np.inf)
    held_out = np.sort(apart.min(1)[model.reference.exclude_self.numpy()])

    lower = held_out[(len(held_out) - 1) // 2]
    assert default_radius(model) == pytest.approx(lower, rel=1e-5)


def test_the_nearest_of_none_is_infinitely_far():
    found = nearest_rows(torch.zeros(3, 2), torch.zeros(0, 2))

    assert np.isinf(found.distances).all()


def _examples(rng, anomalous, informative):
    points = rng.normal(size=(len(anomalous), 3))
    points[:, 0] += 4 * anomalous * informative
    return Examples(points, rng.uniform(50, 60, len(anomalous)))


@pytest.mark.parametrize("seed", range(2))
def test_a_column_that_tells_false_alarms_apart_is_learned_and_orders_new_alarms(seed):
    rng = np.random.default_rng(seed)
    anomalous = np.arange(60) % 3 == 0
    normal = Examples(rng.normal(size=(200, 3)), rng.uniform(0, 20, 200))

    learned = Reweighting.fit(_examples(rng, anomalous, True), anomalous, normal)
    priorities = learned.priorities(_examples(rng, anomalous, True))

    assert learned.told.startswith("learned from (average precision ")
    assert np.median(priorities[anomalous]) > priorities[~anomalous].max() - 5
    assert priorities[anomalous].mean() > priorities[~anomalous].mean() + 20


def test_where_the_score_tells_all_nothing_is_learned():
    rng = np.random.default_rng(0)
    anomalous = np.arange(60) % 3 == 0
    normal = Examples(rng.normal(size=(200, 3)), rng.uniform(0, 20, 200))
    judged = Examples(rng.normal(size=(60, 3)), np.where(anomalous, 90.0, 60.0))

    learned = Reweighting.fit(judged, anomalous, normal)

    assert learned.trees is None
    assert learned.told.startswith("not learned from: cross-validation shows no gain")
    np.testing.assert_array_equal(learned.priorities(judged), judged.severities)


@pytest.mark.parametrize(("n", "n_anomalous"), [(LEAST_VERDICTS - 1, 9), (60, 4), (60, 56), (0, 0)])
def test_few_verdicts_or_few_of_a_kind_are_not_learned_from(n, n_anomalous):
    rng = np.random.default_rng(0)
    anomalous = np.arange(n) < n_anomalous
    normal = Examples(rng.normal(size=(50, 3)), rng.uniform(0, 20, 50))

    learned = Reweighting.fit(_examples(rng, anomalous, True), anomalous, normal)

    assert learned.trees is None
    assert f"there are {n} and {min(n_anomalous, n - n_anomalous)}" in learned.told
