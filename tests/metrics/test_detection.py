import numpy as np
import pytest

from anomdiff.metrics.detection import (
    auroc,
    average_precision,
    event_f1,
    period,
    precision_at_k,
    range_f1,
    vus_pr,
    vus_roc,
)


@pytest.fixture
def labels_and_scores():
    rng = np.random.default_rng(0)
    labels = rng.random(60) < 0.2
    return labels, np.round(rng.normal(size=60) + labels, 1)  # rounded: with ties


def test_auroc_is_the_share_of_pairs_in_the_right_order(labels_and_scores):
    labels, scores = labels_and_scores
    pairs = np.subtract.outer(scores[labels], scores[~labels])

    value = auroc(labels, scores)

    assert value == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_average_precision_is_the_sum_over_distinct_scores(labels_and_scores):
    labels, scores = labels_and_scores
    expected, found = 0.0, 0
    for cut in np.unique(scores)[::-1]:
        flagged = scores >= cut
        expected += ((flagged & labels).sum() - found) / labels.sum() * labels[flagged].mean()
        found = (flagged & labels).sum()

    value = average_precision(labels, scores)

    assert value == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 7, 30, 60])
def test_precision_at_k_is_the_mean_over_all_orders_of_the_ties(labels_and_scores, k):
    labels, scores = labels_and_scores
    rng = np.random.default_rng(1)
    orders = [np.lexsort((rng.random(60), -scores))[:k] for _ in range(4000)]

    value = precision_at_k(labels, scores, k)

    assert value == pytest.approx(np.mean([labels[rows].mean() for rows in orders]), abs=0.02)


@pytest.mark.parametrize("metric", [auroc, average_precision])
def test_only_the_order_of_the_scores_counts(labels_and_scores, metric):
    labels, scores = labels_and_scores

    transformed = metric(labels, np.exp(scores))

    assert transformed == metric(labels, scores)


@pytest.mark.parametrize(
    ("labels", "scores", "sentence"),
    [
        ([0, 0, 0], [1.0, 2.0, 3.0], r"need labels of both classes, 0 and 1; got only \[0\]"),
        ([1, 2], [1.0, 2.0], r"need labels of both classes, 0 and 1; got only \[1, 2\]"),
        ([0, 1], [1.0, 2.0, 3.0], r"got shapes \(2,\) and \(3,\)"),
        ([0, 1], [1.0, np.nan], "need finite scores; row 1 has none"),
    ],
)
@pytest.mark.parametrize(
    "metric",
    [
        auroc,
        average_precision,
        range_f1,
        event_f1,
        lambda labels, scores: vus_pr(labels, scores, 1),
        lambda labels, scores: vus_roc(labels, scores, 1),
    ],
    ids=["auroc", "average_precision", "range_f1", "event_f1", "vus_pr", "vus_roc"],
)
def test_bad_input_is_told(metric, labels, scores, sentence):
    with pytest.raises(ValueError, match=sentence):
        metric(labels, scores)


def test_k_must_be_a_number_of_rows():
    with pytest.raises(ValueError, match="need k between 1 and 2, the number of rows; got 3"):
        precision_at_k([0, 1], [0.0, 1.0], 3)


@pytest.mark.parametrize("window", [-1, 2.5, None])
@pytest.mark.parametrize("metric", [vus_pr, vus_roc])
def test_window_must_be_a_number_of_rows(metric, window):
    with pytest.raises(ValueError, match=f"need a window of 0 or more whole rows; got {window}"):
        metric([0, 1], [0.0, 1.0], window)


@pytest.mark.parametrize("metric", [range_f1, event_f1])
def test_a_best_f1_needs_a_threshold(metric):
    with pytest.raises(ValueError, match="need at least one threshold; got none"):
        metric([0, 1], [0.0, 1.0], thresholds=[])


# Expected periods from find_length_rank of TSB-AD 1.5.
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.sin(2 * np.pi * np.arange(1000) / 40), 40),
        (np.sin(2 * np.pi * np.arange(1000) / 5), 125),
        (np.where(np.arange(1000) % 6 == 0, 1.0, 0.0), 6),
        (np.sin(2 * np.pi * np.arange(20_000) / 303), 303),
        (np.sin(2 * np.pi * np.arange(20_000) / 304), 125),
        (np.random.default_rng(0).normal(size=1000), 125),
        (np.random.default_rng(4).normal(size=1000).cumsum(), 218),
        (np.random.default_rng(1).normal(size=30), 7),
        (np.arange(3.0), 125),
        (np.ones(1), 125),
        (np.full(777, 0.1), 125),
    ],
    ids=["sine", "fast", "spikes", "303", "304", "noise", "walk", "short", "tiny", "one", "level"],
)
def test_period_is_that_of_the_benchmark(values, expected):
    window = period(values)

    assert window == expected


def test_period_reads_the_first_channel_and_its_first_20000_rows():
    rows = np.arange(40_000)
    first = np.where(rows < 20_000, np.sin(2 * np.pi * rows / 60), 9 * np.sin(rows))

    window = period(np.column_stack([first, np.sin(2 * np.pi * rows / 90)]))

    assert window == 60


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([], r"need values of shape \(row,\) or \(row, channel\); got \(0,\)"),
        (np.zeros((2, 2, 2)), r"got \(2, 2, 2\)"),
        ([0.0, 1.0, np.nan], "need finite values; row 2 has none"),
    ],
)
def test_period_needs_finite_values(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        period(values)
