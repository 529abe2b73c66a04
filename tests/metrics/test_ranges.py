import numpy as np
import pytest

from anomdiff.metrics.detection import (
    auroc,
    average_precision,
    event_f1,
    range_f1,
    vus_pr,
    vus_roc,
)
from anomdiff.metrics.ranges import event_rates, range_rates, runs, volumes

CROWD = [(start, start + 3) for start in range(40, 440, 17)]
COMB = [(start, start + 1) for start in range(10, 90, 2)]

# From TSB-AD 1.5 (get_metrics: VUS-PR, VUS-ROC, R-based-F1, Event-based-F1). The last with a
# normal row appended, as that version forgets the last row of an anomaly at the end of a series.
# name: ((n_rows, anomalies, shift, decimals), window, values)
REFERENCE = {
    "plain": (
        (600, [(100, 120), (300, 301), (420, 470)], 0, 9),
        10,
        (0.436370969073, 0.798999193652, 0.264101728073, 0.761904761905),
    ),
    "wide window": (
        (1501, [(200, 260), (700, 705), (900, 1000)], 0, 9),
        100,
        (0.597715592344, 0.920461216501, 0.402606256856, 0.818181818182),
    ),
    "late scores": (
        (602, [(100, 120), (300, 310)], 5, 9),
        51,
        (0.358611893958, 0.907830203784, 0.276305220884, 0.592592592593),
    ),
    "ends of the series": (
        (400, [(0, 15), (200, 202), (390, 400)], 0, 9),
        30,
        (0.34360528905, 0.893981069946, 0.416075650118, 0.620689655172),
    ),
    "single rows at the ends": (
        (300, [(0, 1), (299, 300)], 0, 9),
        20,
        (0.114224137931, 0.929530201342, 0.333333333333, 0.333333333333),
    ),
    "shoulders that meet": (
        (500, CROWD, 0, 9),
        40,
        (0.868079122707, 0.972360959509, 0.516990291262, 0.761904761905),
    ),
    "every second row": (
        (120, COMB, 0, 9),
        9,
        (0.833386690824, 0.909119235231, 0.699965788573, 0.703703703704),
    ),
    "mostly anomalous": (
        (200, [(3, 199)], 0, 9),
        12,
        (0.998984517349, 0.946965331683, 0.743060096753, 1.0),
    ),
    "ties": (
        (700, [(150, 190), (500, 520)], 0, 0),
        40,
        (0.44736746376, 0.887480892473, 0.371352785146, 0.96),
    ),
    "constant": ((301, [(50, 70)], 0, -9), 20, (0.093074700036, 0.507279058012, 0.0, 0.0)),
    "no buffer": (
        (603, [(100, 120), (300, 301)], 0, 9),
        0,
        (0.331836693489, 0.912105220095, 0.488022284123, 0.666666666667),
    ),
    "buffer of one": (
        (604, [(100, 120), (300, 301)], 0, 9),
        1,
        (0.253568351806, 0.803581638487, 0.678832116788, 0.857142857143),
    ),
    "window longer than the series": (
        (12, [(4, 6)], 0, 9),
        100,
        (0.966684649528, 0.985595132848, 0.75, 1.0),
    ),
    "two rows": ((2, [(1, 2)], 0, 9), 10, (1.0, 1.0, 1.0, 1.0)),
}


def series(n_rows, bounds, shift=0, decimals=9):
    rng = np.random.default_rng(n_rows)
    anomalous = np.zeros(n_rows, dtype=bool)
    for start, stop in bounds:
        anomalous[start:stop] = True
    scores = 1.5 * np.roll(anomalous, shift) + rng.normal(size=n_rows)
    return anomalous, np.round(scores, decimals)


def naive_volumes(anomalous, scores, window):
    """Volumes row by row, from the definition."""
    n = len(scores)
    bounds = list(zip(*runs(anomalous), strict=True))
    areas = []
    for width in range(window + 1):
        reach, degrees = width // 2, anomalous.astype(float)
        for start, stop in bounds:
            for distance in range(1, reach + 1):
                for row in (start - distance, stop - 1 + distance):
                    if 0 <= row < n:
                        degrees[row] += np.sqrt(1 - distance / width)
        degrees = np.minimum(degrees, 1)
        widened = []
        for start, stop in bounds:
            if widened and widened[-1][1] >= start - reach:
                widened[-1][1] = stop - 1 + reach
            else:
                widened.append([max(start - reach, 0), stop - 1 + reach])
        curve = [(0.0, 0.0, 1.0)]
        for rank in np.linspace(0, n - 1, 250).astype(int):
            flagged = scores >= sorted(scores, reverse=True)[rank]
            hits = degrees[flagged].sum()
            positives = anomalous.sum() + degrees[flagged & ~anomalous].sum() / 2
            touched = np.mean([flagged[first : last + 1].any() for first, last in widened])
            recall = min(hits / positives, 1) * touched
            fpr = (flagged.sum() - hits) / (n - positives)
            curve.append((fpr, recall, hits / flagged.sum()))
        pairs = list(zip(curve, [*curve[1:], (1.0, 1.0, None)], strict=True))
        roc = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairs)
        areas.append((roc, sum((b[1] - a[1]) * b[2] for a, b in pairs[:-1])))
    return np.mean(areas, axis=0)


@pytest.mark.parametrize("case", REFERENCE)
def test_values_are_those_of_the_benchmark(case):
    made, window, expected = REFERENCE[case]
    anomalous, scores = series(*made)

    values = (
        vus_pr(anomalous, scores, window),
        vus_roc(anomalous, scores, window),
        range_f1(anomalous, scores),
        event_f1(anomalous, scores),
    )

    assert values == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("window", [0, 1, 2, 7])
@pytest.mark.parametrize(
    ("n_rows", "bounds", "decimals"),
    [
        (40, [(0, 2), (5, 6), (8, 9), (20, 24), (39, 40)], 9),
        (41, [(10, 11), (12, 13), (14, 15)], 0),
        (270, [(100, 110)], 1),
    ],
)
def test_volumes_are_those_of_the_loop(n_rows, bounds, decimals, window):
    anomalous, scores = series(n_rows, bounds, decimals=decimals)

    values = volumes(anomalous, scores, window)

    assert values == pytest.approx(naive_volumes(anomalous, scores, window), abs=1e-12)


def test_without_buffer_one_anomaly_and_few_rows_volumes_are_areas():
    anomalous, scores = series(200, [(50, 70)], decimals=1)

    values = vus_pr(anomalous, scores, 0), vus_roc(anomalous, scores, 0)

    expected = average_precision(anomalous, scores), auroc(anomalous, scores)
    assert values == pytest.approx(expected)


@pytest.mark.parametrize("metric", [vus_pr, vus_roc])
def test_only_the_order_of_the_scores_counts_in_volumes(metric):
    anomalous, scores = series(1000, [(100, 140), (600, 610)], decimals=2)

    transformed = metric(anomalous, np.exp(scores), 30)

    assert transformed == metric(anomalous, scores, 30)


@pytest.mark.parametrize("metric", [vus_pr, vus_roc])
def test_volumes_are_the_same_backwards_in_time(metric):
    anomalous, scores = series(500, [(0, 4), (9, 10), (300, 320)])

    backwards = metric(anomalous[::-1], scores[::-1], 25)

    assert backwards == pytest.approx(metric(anomalous, scores, 25), abs=1e-12)


def test_a_wider_buffer_forgives_a_late_score():
    anomalous, _ = series(1000, [(400, 410)])
    late = np.roll(anomalous, 10)

    values = [vus_pr(anomalous, late, window) for window in (0, 20, 60)]

    assert values[0] < values[1] < values[2]


@pytest.mark.parametrize(
    "metric",
    [
        lambda anomalous, scores: vus_pr(anomalous, scores, 50),
        lambda anomalous, scores: vus_roc(anomalous, scores, 50),
        range_f1,
        event_f1,
    ],
    ids=["vus_pr", "vus_roc", "range_f1", "event_f1"],
)
def test_flagging_exactly_the_anomalies_is_perfect(metric):
    anomalous, _ = series(2000, [(0, 30), (700, 701), (1950, 2000)])

    value = metric(anomalous, anomalous.astype(int))

    assert value == pytest.approx(1)


def test_range_rates_by_hand():
    anomalous = np.array([1, 1, 1, 1, 0, 0, 1, 1, 0, 0], dtype=bool)
    flagged = np.array([1, 0, 1, 0, 0, 0, 0, 1, 1, 1], dtype=bool)

    precision, recall = range_rates(anomalous, flagged)

    assert precision == pytest.approx((1 + 1 + 1 / 3) / 3)
    assert recall == pytest.approx(((0.2 + 0.8 * 0.5 / 2) + (0.2 + 0.8 * 0.5)) / 2)


def test_a_flagged_run_over_two_anomalies_is_one_piece_of_each():
    anomalous = np.array([0, 1, 1, 0, 1, 1, 0], dtype=bool)
    flagged = np.array([0, 0, 1, 1, 1, 0, 0], dtype=bool)

    precision, recall = range_rates(anomalous, flagged)

    assert precision == pytest.approx(2 / 3 / 2)
    assert recall == pytest.approx(0.2 + 0.8 / 2)


def test_event_rates_count_rows_for_precision_and_anomalies_for_recall():
    anomalous = np.array([1, 1, 1, 1, 0, 0, 1, 1, 0, 1], dtype=bool)
    flagged = np.array([0, 0, 1, 0, 1, 1, 0, 0, 0, 1], dtype=bool)

    precision, recall = event_rates(anomalous, flagged)

    assert (precision, recall) == pytest.approx((2 / 4, 2 / 3))


def test_nothing_flagged_rates_nothing():
    anomalous = np.array([0, 1, 0], dtype=bool)

    rates = [f(anomalous, np.zeros(3, dtype=bool)) for f in (range_rates, event_rates)]

    assert rates == [(0, 0), (0, 0)]


@pytest.mark.parametrize("metric", [range_f1, event_f1])
def test_all_scores_as_thresholds_are_at_least_as_good_as_any_others(metric):
    anomalous, scores = series(300, [(50, 70), (200, 202)])

    value = metric(anomalous, scores, thresholds=np.unique(scores))

    assert value >= metric(anomalous, scores)


@pytest.mark.parametrize("metric", [range_f1, event_f1])
def test_only_the_order_counts_where_thresholds_move_with_the_scores(metric):
    anomalous, scores = series(300, [(50, 70), (200, 202)])
    thresholds = np.unique(scores)[::10]

    transformed = metric(anomalous, np.exp(scores), thresholds=np.exp(thresholds))

    assert transformed == metric(anomalous, scores, thresholds=thresholds)


@pytest.mark.parametrize("metric", [range_f1, event_f1])
def test_one_threshold_judges_one_set_of_flags(metric):
    anomalous = np.array([0, 1, 1, 0, 0, 1])
    scores = np.array([0.0, 2.0, 2.0, 0.0, 2.0, 2.0])

    value = metric(anomalous, scores, thresholds=1.0)

    assert value == metric(anomalous, scores > 1.0, thresholds=0.5)
    assert value < 1


@pytest.mark.parametrize(
    "bounds", [[], [(0, 1)], [(0, 5)], [(4, 5)], [(0, 2), (3, 5)]], ids=lambda bounds: str(bounds)
)
def test_runs_give_back_their_bounds(bounds):
    anomalous, _ = series(5, bounds)

    found = list(zip(*runs(anomalous), strict=True))

    assert found == bounds
