"""Verdicts as people write them, and the precision of judged alarms."""

import numpy as np
import pandas as pd
import pytest

from anomdiff.feedback.verdicts import CONFIRMED, FALSE_ALARM, MISSED, precision_at, read_verdicts


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ([True, False], [CONFIRMED, FALSE_ALARM]),
        ([1, 0], [CONFIRMED, FALSE_ALARM]),
        ([1.0, 0.0, np.nan], [CONFIRMED, FALSE_ALARM, None]),
        (["1", "0", " ", None], [CONFIRMED, FALSE_ALARM, None, None]),
        (["1.0", "0.0"], [CONFIRMED, FALSE_ALARM]),
        ([" False Alarm", "false_alarm", "FALSE"], [FALSE_ALARM] * 3),
        (["Confirmed", "true-positive", "yes"], [CONFIRMED] * 3),
        (["missed", "FN"], [MISSED] * 2),
    ],
)
def test_a_verdict_is_read_as_it_is_meant(written, meant):
    assert read_verdicts(pd.Series(written)).tolist() == meant


@pytest.mark.parametrize("written", ["maybe", "2", "-1"])
def test_what_is_no_verdict_is_refused(written):
    with pytest.raises(ValueError, match=f"need the verdicts 'false alarm'.*got '{written}' in 1"):
        read_verdicts(pd.Series(["yes", written, None]))


@pytest.mark.parametrize("n", [1, 9, 10, 57, 100, 250])
def test_precision_is_the_share_of_hits_among_the_highest_scores(n):
    rng = np.random.default_rng(n)
    scores, hits = rng.normal(size=n), rng.random(n) < 0.4

    found = precision_at(scores, hits, (10, 100))

    ordered = sorted(zip(-scores, hits, strict=True))
    for k in (10, 100):
        assert (str(k) in found) == (k <= n)
        if k <= n:
            assert found[str(k)] == sum(hit for _, hit in ordered[:k]) / k
    assert found["all"] == hits.mean()


def test_without_alarms_there_is_no_precision():
    assert precision_at([], [], (10,)) == {}
