from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from anomdiff import TimeSeriesDetector
from anomdiff.selection import comparison
from anomdiff.selection.comparison import (
    Evidence,
    PromotionRule,
    gather,
    gather_all,
    promotion_verdict,
)
from tests.series import panel, waves
from tests.settings import TINY_SERIES
from tests.tables import mixed_table

CHAMPION = Evidence(
    columns=("a", "b"),
    rows=10_000,
    alarms=100,
    alpha=0.01,
    seconds_per_row=1e-4,
    validation_loss=0.5,
    separation=0.8,
    average_precision=0.6,
    auroc=0.9,
)
UNLABELLED = {"average_precision": None, "auroc": None}


def test_a_model_may_replace_its_own_copy():
    verdict = promotion_verdict(CHAMPION, CHAMPION)

    assert verdict.promote
    assert verdict.reasons == verdict.passed
    assert not verdict.failed


def test_without_a_champion_only_its_own_promise_counts():
    assert promotion_verdict(None, CHAMPION).promote
    assert not promotion_verdict(None, replace(CHAMPION, alarms=300)).promote


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"average_precision": 0.58}, "average precision 0.580 after 0.600"),
        ({"auroc": 0.88}, "auroc 0.880 after 0.900"),
        ({"alarms": 150}, "alarm rate 1.50% at alpha 1.00%"),
        ({"alarms": 50}, "alarm rate 0.50% at alpha 1.00%"),
        ({"columns": ("a",)}, "columns ['b'] are lost"),
        ({"seconds_per_row": 3e-4}, "a row takes 3.00 times"),
        ({**UNLABELLED, "separation": 0.7}, "separation 0.700 after 0.800"),
        ({**UNLABELLED, "validation_loss": 0.6}, "validation loss 0.600 after 0.500"),
    ],
)
def test_each_thing_that_is_worse_is_the_reason_to_keep_the_champion(change, word):
    verdict = promotion_verdict(CHAMPION, replace(CHAMPION, **change))

    assert not verdict.promote
    (reason,) = verdict.reasons
    assert word in reason


@pytest.mark.parametrize(
    "change",
    [
        {"average_precision": 0.591},
        {"alarms": 119},
        {"rows": 100, "alarms": 3},  # chance
        {"columns": ("a", "b", "c")},
        {"separation": 0.7},  # labels are known, and say otherwise
        {**UNLABELLED, "columns": ("a", "b", "c"), "validation_loss": 0.9},  # not comparable
        {"validation_loss": None, "separation": None},
    ],
)
def test_a_little_or_unlike_or_unknown_is_no_reason(change):
    assert promotion_verdict(CHAMPION, replace(CHAMPION, **change)).promote


def test_an_alarm_rate_that_is_off_is_forgiven_if_the_champion_is_about_as_far_off():
    drifted = replace(CHAMPION, alarms=500)

    assert promotion_verdict(drifted, replace(CHAMPION, alarms=590)).promote
    assert not promotion_verdict(drifted, replace(CHAMPION, alarms=610)).promote


@pytest.mark.parametrize("name", ["average_precision", "auroc", "separation"])
def test_a_verdict_turns_once_as_the_challenger_gets_better(name):
    unlabelled = UNLABELLED if name == "separation" else {}
    champion = replace(CHAMPION, **unlabelled)
    values = np.linspace(0, 1, 101)

    verdicts = [promotion_verdict(champion, replace(champion, **{name: v})).promote for v in values]

    assert verdicts == sorted(verdicts)
    assert {True, False} == set(verdicts)


def test_the_rule_decides_how_much_is_too_much():
    worse = replace(CHAMPION, average_precision=0.5, columns=("a",))

    assert promotion_verdict(
        CHAMPION, worse, PromotionRule(average_precision=0.2, lose_columns=True)
    ).promote


def test_a_time_that_the_champion_takes_itself_in_a_bad_turn_is_no_reason():
    noisy = replace(CHAMPION, most_seconds_per_row=4e-4)

    assert promotion_verdict(noisy, replace(CHAMPION, seconds_per_row=7e-4)).promote
    assert not promotion_verdict(noisy, replace(CHAMPION, seconds_per_row=9e-4)).promote


def test_a_machine_that_is_busy_for_a_while_does_not_slow_one_model_down(detector, monkeypatch):
    busy = iter([0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])  # the first challenger's turn
    clock = {"now": 0.0}

    class Slow:
        """Scores as the detector does, in one second and what the machine adds."""

        def __getattr__(self, name):
            return getattr(detector, name)

        def score_frame(self, frame):
            clock["now"] += 1.0 + (next(busy) if len(frame) > 100 else 0.0)
            return detector.score_frame(frame)

    monkeypatch.setattr(comparison.time, "process_time", lambda: clock["now"])
    monkeypatch.setattr(comparison, "_unlabelled", lambda detector, frame: {})
    rows = mixed_table(200, seed=5)

    champion, challenger = gather_all([(Slow(), rows, None), (Slow(), rows, None)])

    assert champion.seconds_per_row == challenger.seconds_per_row == 1 / 200
    assert max(champion.most_seconds_per_row, challenger.most_seconds_per_row) == 10 / 200


def test_evidence_counts_what_the_detector_says(detector):
    rows = mixed_table(300, seed=5)
    labels = np.repeat([1, 0, -1], 100)
    scored = detector.score_frame(rows)

    found = gather(detector, rows, labels)

    assert found.rows == 200
    assert found.alarms == scored["is_anomaly"][100:].sum()
    assert found.average_precision is not None
    assert found.columns == tuple(rows.columns)
    assert found.metrics()["alarm_rate"] == found.alarm_rate
    assert gather(detector, rows).average_precision is None
    assert 0.5 < gather(detector, rows).separation < 1


def test_evidence_of_few_steps_lacks_what_cannot_be_measured():
    detector = TimeSeriesDetector(**TINY_SERIES).fit(waves(300, seed=0))

    few, many = gather(detector, waves(50, seed=1)), gather(detector, waves(400, seed=1))

    assert few.separation is None
    assert many.separation > 0.5
    assert many.validation_loss > 0


def test_steps_that_are_not_judged_are_no_evidence():
    detector = TimeSeriesDetector(series="host", time="time", **TINY_SERIES)
    detector.fit(panel(200, seed=0))
    frame, short = panel(200, seed=5), panel(2, seed=6, labels=["c"])

    both = gather(detector, pd.concat([frame, short], ignore_index=True))

    alone = gather(detector, frame)
    assert (both.rows, both.alarms) == (alone.rows, alone.alarms)
    assert both.separation > 0.5
    with pytest.raises(ValueError, match="none of the 2 rows has one"):
        gather(detector, short)


def test_rows_that_are_all_anomalies_are_no_evidence(detector):
    rows = mixed_table(10, seed=0)

    with pytest.raises(ValueError, match="need normal rows; all 10 rows are labelled"):
        gather(detector, rows, np.ones(10))
