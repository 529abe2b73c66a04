import json

import numpy as np
import pandas as pd
import pytest

from anomdiff.monitoring.drift import DriftLimits, column_drift, drift_alarms, profile
from anomdiff.monitoring.scores import alarm_drift, score_drift
from anomdiff.monitoring.stability import population_stability, psi_by_chance

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


@pytest.mark.parametrize(
    ("shares", "n_before", "n_now"),
    [
        (np.full(10, 0.1), 400, 900),
        (np.full(10, 0.1), 8000, 2000),
        (np.full(10, 0.1), 5000, 30),
        ([0.9, 0.06, 0.03, 0.01], 500, 40),
    ],
)
def test_chance_alone_exceeds_the_limit_at_its_level(shares, n_before, n_now):
    rng = np.random.default_rng(1)
    counts = [rng.multinomial(n, shares, 4000) for n in (n_before, n_now)]

    indices = [population_stability(*pair) for pair in zip(*counts, strict=True)]

    share = np.mean(np.array(indices) > psi_by_chance(shares, n_before, n_now, level=0.05))
    assert share == pytest.approx(0.05, abs=0.02)


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

    sentences = drift_alarms(drift, QUIET, alarm_drift(alarms, rows, 0.01), DriftLimits())

    assert bool(sentences) == reported
