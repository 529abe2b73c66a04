import json

import numpy as np
import pandas as pd
import pytest

from anomdiff.monitoring.drift import column_drift, drift_alarms, profile
from anomdiff.monitoring.values import MAX_HASHES, describe_values, novelty

QUIET = {"ks": 0.0, "p_value": 1.0, "higher": 0.0}
NO_ALARMS = {"alarm_rate": 0.01, "alpha": 0.01, "p_value": 1.0}
HOURS = pd.Series(pd.date_range("2024-03-10", periods=9000, freq="h"))


def _sentences(training, batch):
    reference = json.loads(json.dumps(profile(pd.DataFrame({"text": training})), allow_nan=False))
    drift = column_drift(reference, pd.DataFrame({"text": batch}))
    return drift_alarms(drift, QUIET, NO_ALARMS)


def _names(n, n_names, seed):
    """Names of people, say, some of them frequent: a new one now and then."""
    rng = np.random.default_rng(seed)
    chances = 1 / np.arange(1, n_names + 1)
    return pd.Series(rng.choice(n_names, n, p=chances / chances.sum())).map("name {}".format)


def _keys(n, seed):
    """Keys that never repeat and have no order."""
    rng = np.random.default_rng(seed)
    return pd.Series([rng.bytes(8).hex() for _ in range(n)])


GROWING = {
    "dates of days": HOURS.dt.strftime("%d/%m/%Y"),
    "dates in words": HOURS.dt.strftime("%d %B %Y"),
    "times": HOURS.dt.strftime("%Y-%m-%d %H:%M"),
    "orders": pd.Series(np.arange(9000)).map("ORD-{:06d}".format),
    "sessions of several rows": pd.Series(np.arange(9000) // 7).map("s{}".format),
    "decimal comma": pd.Series(np.arange(9000) / 10).map("{:.1f}".format).str.replace(".", ","),
}


@pytest.mark.parametrize("name", GROWING)
@pytest.mark.parametrize("n", [400, 2000, 7000])
def test_a_text_column_that_grows_is_told(name, n):
    cells = GROWING[name]

    sentences = _sentences(cells[:n], cells[n : n + 500])

    assert any("beyond" in sentence for sentence in sentences)


@pytest.mark.parametrize("n", [300, 5000])
@pytest.mark.parametrize("n_now", [20, 1000])
@pytest.mark.parametrize("draw", [_keys, lambda n, seed: _names(n, 30_000, seed)])
def test_as_many_new_values_as_training_brought_are_no_drift(n, n_now, draw):
    assert _sentences(draw(n, 0), draw(n_now, 1)) == []


def test_more_new_values_than_training_brought_are_told():
    training, batch = _names(5000, 2000, 0), _names(500, 2000, 1)

    (sentence,) = _sentences(training, batch.mask(batch.index % 2 == 0, _keys(500, 2)))

    assert "beyond what training showed, not" in sentence


def test_estimates_agree_with_counting():
    training, batch = _names(4000, 3000, 0), _names(1000, 3000, 1)

    described = describe_values(training)

    assert novelty(described, batch) == (np.mean(~batch.isin(training)), 1000)
    assert described["seen_once"] == pytest.approx(np.mean(~batch.isin(training)), abs=0.03)


def test_a_sketch_of_many_values_is_bounded_and_estimates_the_share_of_new_ones():
    many = pd.Series(np.arange(60_000)).map("v{}".format)
    batch = pd.Series(np.arange(54_000, 66_000)).map("v{}".format)

    described = describe_values(many)

    assert len(described["hashes"]) <= MAX_HASHES
    found = novelty(described, batch)
    assert found.unseen == pytest.approx(0.5, abs=0.06)
    assert 0 < found.judged < len(batch)


def test_a_profile_names_no_value_that_occurs_once():
    described = describe_values(pd.Series(["a", "a", "secret"]))

    assert "secret" not in json.dumps(described)
    assert novelty(described, pd.Series(["a", "secret"])).unseen == 0.0
