import json

import numpy as np
import pandas as pd
import pytest

from anomdiff.monitoring.drift import DriftLimits, column_drift, drift_alarms, profile
from anomdiff.monitoring.precision import estimated_precision
from anomdiff.monitoring.scores import alarm_drift, alarms_by_chance, score_drift, without_alarms
from anomdiff.monitoring.stability import lost_by_chance, lost_share, population_stability

QUIET = {"ks": 0.0, "p_value": 1.0, "higher": 0.0}
NO_ALARMS = {"alarm_rate": 0.01, "alpha": 0.01, "p_value": 1.0}


def _draw(n, seed, shift=0.0, zeros=0.95):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": rng.normal(shift, 1, n),
            "mostly zero": np.where(rng.random(n) < zeros, 0.0, rng.gamma(2.0, 1.0, n)),
            "flag": rng.random(n) < 0.03,
            "kind": rng.choice(["a", "b", "c"], n, p=[0.6, 0.39, 0.01]),
            "day": pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 99, n), "D"),
        }
    )


@pytest.fixture(scope="module")
def reference():
    return json.loads(json.dumps(profile(_draw(5000, seed=0)), allow_nan=False))


@pytest.mark.parametrize("n", [300, 30_000])
@pytest.mark.parametrize("seed", range(5))
def test_rows_of_the_same_distribution_do_not_alarm(reference, n, seed):
    drift = column_drift(reference, _draw(n, seed=seed + 1))

    assert drift_alarms(drift, QUIET, alarm_drift(n // 20, n, 0.05)) == []


@pytest.mark.parametrize(
    ("changed", "column", "word"),
    [
        ({"amount": lambda f: f["amount"] + 1}, "amount", "distribution"),
        ({"amount": lambda f: f["amount"].where(f.index % 3 > 0)}, "amount", "missing"),
        ({"amount": lambda f: f["amount"] * 100}, "amount", "beyond"),
        ({"amount": lambda f: "x"}, "amount", "beyond"),
        ({"mostly zero": lambda f: _draw(500, 3, zeros=0.5)["mostly zero"]}, "mostly zero", "dist"),
        ({"flag": lambda f: f.index % 2 == 0}, "flag", "distribution"),
        ({"kind": lambda f: f["kind"].replace("a", "z")}, "kind", "beyond"),
        ({"kind": lambda f: f["kind"].replace("a", "b")}, "kind", "distribution"),
        ({"day": lambda f: f["day"] + pd.Timedelta("60D")}, "day", "beyond"),
    ],
)
def test_what_has_drifted_is_named_and_nothing_else(reference, changed, column, word):
    batch = _draw(500, seed=9).assign(**changed)

    sentences = drift_alarms(column_drift(reference, batch), QUIET, alarm_drift(25, 500, 0.05))

    assert any(word in sentence for sentence in sentences)
    assert {sentence.split("'")[1] for sentence in sentences} == {column}


def test_a_column_that_is_gone_is_missing_in_every_row(reference):
    drift = column_drift(reference, _draw(100, seed=1).drop(columns="kind"))

    assert drift.loc["kind", "missing"] == 1.0
    assert drift.loc["kind", "missing_before"] == 0.0


def test_any_value_of_a_column_that_was_empty_in_training_is_unseen():
    empty = profile(pd.DataFrame({"x": [None, None]}))

    assert column_drift(empty, pd.DataFrame({"x": [None]})).loc["x", "unseen"] == 0.0
    assert column_drift(empty, pd.DataFrame({"x": [1.0]})).loc["x", "unseen"] == 1.0


def test_a_profile_of_an_earlier_version_does_not_tell_new_values_where_these_were_too_many():
    earlier = {"kind": "category", "missing": 0.0, "shares": {"a": 0.1}, "n_values": 900}
    frame = pd.DataFrame({"name": ["a", "b"]})

    drift = column_drift({"rows": 1000, "columns": {"name": earlier}}, frame)

    assert np.isnan(drift.loc["name", "unseen"])


def test_stability_index_is_zero_for_equal_shares_symmetric_and_ignores_scale():
    expected, actual = [50, 30, 20], [20, 30, 50]

    assert population_stability(expected, [5, 3, 2]) == pytest.approx(0)
    assert population_stability(expected, actual) == pytest.approx(0.6 * np.log(2.5))
    assert population_stability(actual, expected) == population_stability(expected, actual)


@pytest.mark.parametrize("other", [[1, 2], [0, 0, 0]])
def test_stability_index_needs_the_same_bins(other):
    with pytest.raises(ValueError, match="need two distributions over the same bins; got shapes"):
        population_stability([1, 1, 1], other)


SAMPLES = [
    (np.full(10, 0.1), 400, 900),
    (np.full(10, 0.1), 8000, 2000),
    (np.full(10, 0.1), 5000, 30),
    ([0.9, 0.06, 0.03, 0.01], 500, 40),
]


@pytest.mark.parametrize("odd", [0.0, 0.05])
@pytest.mark.parametrize(("shares", "n_before", "n_now"), SAMPLES)
def test_chance_alone_exceeds_the_limit_at_its_level(shares, n_before, n_now, odd):
    rng = np.random.default_rng(1)
    before = rng.multinomial(n_before, shares, 4000)
    now = rng.multinomial(n_now, [*(1 - odd) * np.array(shares), odd], 4000)
    # The odd rows are in a bin that is new.
    pairs = zip(np.pad(before, ((0, 0), (0, 1))), now, strict=True)

    lost = np.array([lost_share(*pair, odd) for pair in pairs])

    share = np.mean(lost > lost_by_chance(shares, n_before, n_now, odd, level=0.05))
    assert share == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize(("shares", "n_before", "n_now"), SAMPLES)
def test_far_out_chance_exceeds_the_limit_no_more_often_than_its_level(shares, n_before, n_now):
    rng = np.random.default_rng(1)
    counts = [rng.multinomial(n, shares, 100_000) / n for n in (n_before, n_now)]
    lost = np.maximum(counts[0] - counts[1], 0).sum(1)

    limit = lost_by_chance(shares, n_before, n_now, 0.0, level=3e-4)

    assert (lost > limit).sum() <= 60


def test_the_lost_share_is_what_odd_rows_cannot_explain():
    before, now = [50, 30, 20], [40, 36, 24]

    assert lost_share(before, now) == pytest.approx(0.1)
    assert lost_share(before, now, odd=0.1) == pytest.approx(0.05)
    assert lost_share(before, now, odd=0.2) == pytest.approx(0)


@pytest.mark.parametrize("n", [5, 12, 30, 60])
def test_small_batches_without_drift_hardly_ever_alarm(reference, n):
    batches = [_draw(n, seed=100 + seed) for seed in range(60)]

    alarms = [drift_alarms(column_drift(reference, b), QUIET, NO_ALARMS) for b in batches]

    assert sum(map(bool, alarms)) <= 1


@pytest.mark.parametrize("share", [0.02, 0.04])
@pytest.mark.parametrize("n", [300, 3000])
def test_a_few_odd_rows_are_anomalies_and_not_drift(reference, share, n):
    batch = _draw(n, seed=3).astype({"kind": object, "flag": bool})
    odd = np.arange(n) < share * n
    batch.loc[odd, "amount"] = 1e6
    batch.loc[odd, "kind"] = "never seen"
    batch.loc[odd, "mostly zero"] = np.nan
    alarms = alarm_drift(int(odd.sum() + 0.01 * n), n, 0.01)

    sentences = drift_alarms(column_drift(reference, batch), QUIET, alarms)

    assert sentences == []


@pytest.mark.parametrize("share", [0.0, 0.02])
@pytest.mark.parametrize("n", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_batches_without_drift_alarm_no_more_often_than_the_level(reference, n, share):
    calibration = np.random.default_rng(0).normal(size=1000)
    threshold, alarmed = np.quantile(calibration, 0.99), []
    for seed in range(200):
        rng = np.random.default_rng(1000 + seed)
        batch, scores = _draw(n, seed=1000 + seed), rng.normal(size=n)
        odd = rng.random(n) < share
        batch.loc[odd, "amount"], scores[odd] = 6.0, rng.choice([2.0, 9.0], odd.sum())
        found = score_drift(calibration, scores, threshold, 0.06, 0.05)
        rate = alarm_drift(int((scores > threshold).sum()), n, 0.01, (1000, 10))
        alarmed.append(bool(drift_alarms(column_drift(reference, batch), found, rate)))

    assert sum(alarmed) <= 7  # 200 batches at the level of 0.01: one more is rarer than 0.1 %


def test_the_highest_alarms_are_left_out_up_to_a_share():
    scores = np.array([0.0, 9.0, 5.0, np.nan, 7.0])

    np.testing.assert_array_equal(without_alarms(scores, 6.0, 1.0), [1, 0, 1, 1, 0])
    np.testing.assert_array_equal(without_alarms(scores, 6.0, 0.2), [1, 0, 1, 1, 1])
    assert without_alarms(scores, np.inf, 1.0).all()


def test_alarms_left_out_of_both_leave_no_drift_of_scores():
    rng = np.random.default_rng(0)
    calibration, scores = rng.normal(size=2000), rng.normal(size=1000)
    scores[:60] = 50.0

    found = score_drift(calibration, scores, np.quantile(calibration, 0.99), 0.1)

    assert found["ks"] < 0.05
    assert found["p_value"] > 0.001


@pytest.mark.parametrize(("shift", "way"), [(1.0, "risen"), (-1.0, "fallen")])
def test_scores_that_move_are_reported_with_their_direction(reference, shift, way):
    rng = np.random.default_rng(0)
    drift = column_drift(reference, _draw(300, seed=1))

    scores = score_drift(rng.normal(size=500), rng.normal(size=500) + shift)

    (sentence,) = drift_alarms(drift, scores, alarm_drift(15, 300, 0.05))
    assert way in sentence
    assert np.sign(scores["higher"]) == np.sign(shift)
    assert scores["ks"] == pytest.approx(0.38, abs=0.06)


@pytest.mark.parametrize(
    ("alarms", "rows", "reported"),
    [
        (3, 20, False),
        (15, 1000, False),
        (40, 1000, False),  # a few anomalies
        (140, 1000, True),
        (0, 1000, True),
        (1, 5, False),
    ],
)
def test_an_alarm_rate_is_reported_if_it_is_far_off_and_no_chance(
    reference, alarms, rows, reported
):
    drift = column_drift(reference, _draw(300, seed=1))

    sentences = drift_alarms(drift, QUIET, alarm_drift(alarms, rows, 0.01, odd=0.05), DriftLimits())

    assert bool(sentences) == reported


def test_alarms_count_as_too_many_from_where_odd_rows_explain_them():
    without, odd = (alarm_drift(70, 1000, 0.01, (1000, 10), odd) for odd in (0.0, 0.05))

    assert odd == {**alarm_drift(20, 1000, 0.01, (1000, 10)), "alarm_rate": 0.07}
    assert without["p_value"] < 1e-6 < odd["p_value"]
    few = alarm_drift(0, 1000, 0.01, odd=0.05)
    assert few == alarm_drift(0, 1000, 0.01)


@pytest.mark.parametrize(("n_calibration", "above"), [(99, 0), (200, 9)])
def test_alarms_of_normal_rows_are_distributed_as_said(n_calibration, above):
    rng = np.random.default_rng(0)
    calibration = np.sort(rng.normal(size=(20_000, n_calibration)), axis=1)
    batches = rng.normal(size=(20_000, 50))

    alarms = (batches > calibration[:, [-1 - above]]).sum(1)

    expected = alarms_by_chance(50, n_calibration, above).pmf(np.arange(51))
    counted = np.bincount(alarms, minlength=51) / len(alarms)
    np.testing.assert_allclose(counted, expected, atol=5 * np.sqrt(0.25 / len(alarms)))


@pytest.mark.parametrize("anomalies", [0, 30, 100])
def test_the_estimate_of_precision_covers_the_truth_as_often_as_it_says(anomalies):
    rng, covered = np.random.default_rng(0), []
    for _ in range(300):
        calibration, rows = np.sort(rng.normal(size=999)), rng.normal(size=2000)
        false = int((rows > calibration[-10]).sum())
        found = estimated_precision(false + anomalies, 2000 + anomalies, (999, 9), False)
        if false + anomalies:
            truth = anomalies / (false + anomalies)
            covered.append(found["low"] <= truth <= found["high"])

    assert np.mean(covered) > 0.85
    assert found["trusted"]


def test_the_estimate_covers_the_truth_where_steps_alarm_in_runs():
    rng, covered = np.random.default_rng(0), []
    for _ in range(300):
        calibration, rows = np.sort(rng.normal(size=250)), rng.normal(size=500)
        false = 4 * int((rows > calibration[-10]).sum())  # each value stands for four steps
        found = estimated_precision(false + 50, 2050, (1000, 36), False, run=4)
        covered.append(found["low"] <= 50 / (false + 50) <= found["high"])

    assert 0.85 < np.mean(covered) < 0.96


def test_an_estimate_after_a_drift_or_without_alarms_says_that_it_is_not_to_be_trusted():
    drifted = estimated_precision(100, 1000, (999, 9), True)
    silent = estimated_precision(0, 1000, (999, 9), False)

    assert not drifted["trusted"]
    assert "not to be trusted" in drifted["says"]
    assert silent["estimate"] is None
    assert "no alarm" in silent["says"]
