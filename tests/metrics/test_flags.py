import numpy as np
import pytest

from anomdiff.metrics.flags import affiliation, range_based
from anomdiff.metrics.ranges import range_rates, runs

SEEDS = range(40)


def drawn(seed):
    """Anomalies and flags of a short series, in runs of changing length; at least one anomaly."""
    rng = np.random.default_rng(seed)
    n_steps = rng.integers(1, 40)
    lengths = rng.integers(1, 6, (2, n_steps))
    anomalous, flagged = (np.repeat(rng.random(n_steps) < 0.3, each)[:n_steps] for each in lengths)
    anomalous[rng.integers(n_steps)] = True
    return anomalous, flagged


def naive_affiliation(anomalous, flagged):
    """The definition, summed over the quarters of steps, on which the integrands are linear."""
    times = (np.arange(4 * len(anomalous)) + 0.5) / 4
    events = list(zip(*runs(anomalous), strict=True))
    distances = np.array([[max(0, start - t, t - stop) for t in times] for start, stop in events])
    nearest = distances.argmin(axis=0)
    precisions, recalls = [], []
    for i, (start, stop) in enumerate(events):
        zone = times[nearest == i]
        low, high = zone[0] - 1 / 8, zone[-1] + 1 / 8
        hits = [t for t in zone if flagged[int(t)]]

        def at_least(d, first, last, low=low, high=high):
            return 1 - (min(last + d, high) - max(first - d, low)) / (high - low) if d else 1

        if hits:
            away = [(t, max(0, start - t, t - stop)) for t in hits]
            precisions.append(np.mean([at_least(d, start, stop) for _, d in away]))
        chances = []
        for y in zone[[anomalous[int(t)] for t in zone]]:
            d = min((max(0, abs(y - t) - 1 / 8) for t in hits), default=np.inf)
            chances.append(at_least(d, y, y) if hits else 0)
        recalls.append(np.mean(chances))
    return np.mean(precisions) if precisions else np.nan, np.mean(recalls)


@pytest.mark.parametrize("seed", SEEDS)
def test_affiliation_is_the_numeric_integral(seed):
    anomalous, flagged = drawn(seed)

    rates = affiliation(anomalous, flagged)

    assert rates == pytest.approx(naive_affiliation(anomalous, flagged), abs=1e-12, nan_ok=True)


def test_affiliation_of_the_example_of_its_authors():
    anomalous = [0, 0, 0, 1, 0, 0, 0, 1, 1, 1]
    flagged = [0, 0, 0, 0, 1, 0, 0, 0, 1, 0]

    rates = affiliation(anomalous, flagged)

    assert rates == pytest.approx((0.82, 0.84), abs=0.005)


@pytest.mark.parametrize("bounds", [(40, 60), (0, 20), (0, 100)])
def test_affiliation_where_everything_is_flagged(bounds):
    anomalous = np.zeros(100, dtype=bool)
    anomalous[slice(*bounds)] = True

    precision, recall = affiliation(anomalous, np.ones(100, dtype=bool))

    share = anomalous.mean()
    beside = (1 - share) ** 2 / 2  # its integral is the same on one side and on two
    assert recall == 1
    assert precision == pytest.approx(share + beside)


def test_flags_at_random_have_an_affiliation_precision_of_a_half():
    rng = np.random.default_rng(0)
    anomalous = np.isin(np.arange(10_000), [*range(2_000, 2_020), *range(7_000, 7_050)])

    precisions = [affiliation(anomalous, rng.random(10_000) < 0.05)[0] for _ in range(20)]

    assert np.mean(precisions) == pytest.approx(0.5, abs=0.01)


def test_affiliation_falls_with_the_distance_of_the_flags():
    anomalous = np.isin(np.arange(200), range(90, 110))
    ways = [np.roll(anomalous, lag) for lag in (0, 5, 15, 40, 90)]

    precisions, recalls = zip(*(affiliation(anomalous, flagged) for flagged in ways), strict=True)

    assert precisions[0] == recalls[0] == 1
    assert (np.diff(precisions) < 0).all()
    assert (np.diff(recalls) < 0).all()


def test_a_zone_without_flags_counts_in_recall_only():
    anomalous = np.isin(np.arange(100), [20, 21, 70, 71])
    flagged = np.isin(np.arange(100), [20, 21])

    assert affiliation(anomalous, flagged) == (1, 0.5)


def test_a_flag_in_two_zones_counts_in_both():
    anomalous = np.isin(np.arange(9), [1, 7])
    flagged = np.isin(np.arange(9), [3, 4, 5])

    rates = affiliation(anomalous, flagged)

    # each zone is 4.5 long and holds flags at distances of 1 to 2.5; 1 step lies beyond the anomaly
    assert rates.precision == pytest.approx((2.5 - 1) / 2 / 4.5)
    assert rates == pytest.approx(naive_affiliation(anomalous, flagged))


@pytest.mark.parametrize("metric", [affiliation, range_based])
@pytest.mark.parametrize("seed", SEEDS[:10])
def test_flagging_exactly_the_anomalies_is_perfect(metric, seed):
    anomalous, _ = drawn(seed)

    rates = metric(anomalous, anomalous)

    assert (*rates, rates.f1) == (1, 1, 1)


@pytest.mark.parametrize("metric", [affiliation, range_based])
def test_where_nothing_is_flagged_f1_is_zero(metric):
    rates = metric([0, 1, 0], [0, 0, 0])

    assert np.isnan(rates.precision)
    assert rates.recall == rates.f1 == 0


@pytest.mark.parametrize("metric", [affiliation, range_based])
@pytest.mark.parametrize("seed", SEEDS[:10])
def test_rates_are_the_same_backwards_and_on_a_finer_clock(metric, seed):
    anomalous, flagged = drawn(seed)

    backwards = metric(anomalous[::-1], flagged[::-1])
    finer = metric(np.repeat(anomalous, 3), np.repeat(flagged, 3))

    expected = pytest.approx(metric(anomalous, flagged), nan_ok=True)
    assert backwards == expected
    assert finer == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_range_based_rates_are_those_of_the_loop(seed):
    anomalous, flagged = drawn(seed)

    precision, recall = range_based(anomalous, flagged)

    alike = (flagged, anomalous), (anomalous, flagged)
    shares = [
        [within[start:stop].mean() for start, stop in zip(*runs(of), strict=True)]
        for of, within in alike
    ]
    assert recall == pytest.approx(np.mean(shares[1]))
    assert precision == pytest.approx(np.mean(shares[0]) if shares[0] else np.nan, nan_ok=True)


def test_range_based_rates_differ_from_those_of_the_benchmark_by_what_touching_earns():
    anomalous = np.isin(np.arange(50), [*range(5, 15), *range(30, 34)])
    flagged = np.isin(np.arange(50), [*range(12, 20), *range(31, 33)])

    precision, recall = range_rates(anomalous, flagged)

    ours = range_based(anomalous, flagged)
    assert ours.precision == pytest.approx(precision)
    assert 0.2 + 0.8 * ours.recall == pytest.approx(recall)


def test_f1_is_the_harmonic_mean():
    rates = range_based([1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 1])

    assert rates == (0.5, 0.5)
    assert rates.f1 == 0.5
    assert range_based([1, 1, 1, 1], [1, 0, 0, 0]).f1 == pytest.approx(2 * 0.25 / 1.25)
    assert range_based([1, 0], [0, 1]).f1 == 0


@pytest.mark.parametrize("metric", [affiliation, range_based])
@pytest.mark.parametrize(
    ("anomalous", "flagged", "said"),
    [
        ([0, 1], [0, 1, 1], r"one label and one flag per step; got shapes \(2,\) and \(3,\)"),
        ([[0, 1]], [[0, 1]], r"got shapes \(1, 2\)"),
        ([0, 2], [0, 1], "labels of 0 and 1; got 2 at step 1"),
        ([0, 1], [0.5, 1], "flags of 0 and 1; got 0.5 at step 0"),
        ([0, 1], [0, np.nan], "flags of 0 and 1; got nan at step 1"),
        ([0, 0], [0, 1], "at least one anomalous step"),
        ([], [], "at least one anomalous step"),
    ],
)
def test_what_is_no_label_or_flag_is_refused(metric, anomalous, flagged, said):
    with pytest.raises(ValueError, match=said):
        metric(anomalous, flagged)
