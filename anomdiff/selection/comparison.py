"""Whether a challenger may replace the champion: evidence of both, a rule, and a verdict.

The verdict is a function of numbers alone.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.metrics.detection import auroc, average_precision
from anomdiff.selection.criteria import likelihood, separation

__all__ = ["Evidence", "PromotionRule", "Verdict", "gather", "gather_all", "promotion_verdict"]

# Times are measured in so many turns, and in no further one after so many seconds.
LEAST_TURNS, MOST_TURNS, ENOUGH_SECONDS = 2, 5, 20.0


@dataclass(frozen=True)
class Evidence:
    """What is known of a model on recent rows.

    Attributes
    ----------
    columns : tuple of str
        Columns that it scores.
    rows, alarms : int
        Rows that are not known to be anomalies, and alarms among them.
    alpha : float
        Share of alarms among normal rows that it is set to.
    seconds_per_row, most_seconds_per_row : float
        CPU time to score a row within a batch, the least and the most of several turns; the latter
        is the former if None.
    validation_loss, separation : float or None
        Mean denoising loss over noise levels, smaller is better, and chance that a corrupted row
        scores above an untouched one; see `anomdiff.selection.criteria`.
    average_precision, auroc : float or None
        Against the labels, where both normal rows and anomalies are known.
    """

    columns: tuple[str, ...]
    rows: int
    alarms: int
    alpha: float
    seconds_per_row: float
    most_seconds_per_row: float | None = None
    validation_loss: float | None = None
    separation: float | None = None
    average_precision: float | None = None
    auroc: float | None = None

    @property
    def alarm_rate(self) -> float:
        """Share of alarms."""
        return self.alarms / self.rows

    def metrics(self) -> dict[str, float]:
        """Return the numbers that are known, by name."""
        numbers = {**asdict(self), "alarm_rate": self.alarm_rate}
        del numbers["columns"]
        return {name: float(value) for name, value in numbers.items() if value is not None}


@dataclass(frozen=True)
class PromotionRule:
    """How much worse than the champion a challenger may be.

    Attributes
    ----------
    average_precision, auroc : float
        Largest loss, where labels are known.
    separation : float
        Largest loss, where they are not.
    validation_loss : float
        Largest rise, as a share, where labels are not known and the columns are the same.
    alarm_rate : float
        Largest distance of the alarm rate from alpha, as a share of alpha. More is allowed if
        chance explains it, or if the champion's is as far off, within this share.
    level : float
        p-value of a binomial test below which chance does not explain the alarm rate.
    latency : float
        Largest CPU time per row, as a multiple of the champion's: of the challenger's fastest turn
        and the champion's slowest, so that noise does not decide.
    lose_columns : bool
        Whether it may lack columns that the champion scores.
    """

    average_precision: float = 0.01
    auroc: float = 0.01
    separation: float = 0.02
    validation_loss: float = 0.05
    alarm_rate: float = 0.2
    level: float = 0.01
    latency: float = 2.0
    lose_columns: bool = False


class Verdict(NamedTuple):
    """What a rule decides: to promote if no check failed; there is a sentence for each check."""

    promote: bool
    passed: tuple[str, ...]
    failed: tuple[str, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Sentences of the checks that decided."""
        return self.passed if self.promote else self.failed


def promotion_verdict(
    champion: Evidence | None, challenger: Evidence, rule: PromotionRule | None = None
) -> Verdict:
    """Decide whether a challenger may replace the champion, by evidence on the same rows.

    Without a champion, only the challenger's alarm rate is checked. A measure that is not known of
    both is not checked.
    """
    checks = list(_checks(champion, challenger, rule or PromotionRule()))
    passed = tuple(sentence for good, sentence in checks if good)
    failed = tuple(sentence for good, sentence in checks if not good)
    return Verdict(not failed, passed, failed)


def gather(
    detector: DiffusionDetector, frame: pd.DataFrame, labels: np.ndarray | None = None
) -> Evidence:
    """Measure a fitted detector on recent rows.

    Labels are 1 for an anomaly, 0 for a normal row, -1 where it is not known. Alarms are counted
    among the rows that are not known to be anomalies; if all are, that is a `ValueError`.
    """
    return gather_all([(detector, frame, labels)])[0]


def gather_all(
    each: Sequence[tuple[DiffusionDetector, pd.DataFrame, np.ndarray | None]],
) -> list[Evidence]:
    """Measure fitted detectors as `gather` does, their times by turns.

    A machine that is busy for a while then slows all of them down, not one.
    """
    for detector, frame, _ in each:
        detector.score_frame(frame.head(100))  # the first call is slower
    scored, seconds = _timed([(detector, frame) for detector, frame, _ in each])
    return [_evidence(*found) for found in zip(each, scored, seconds, strict=True)]


def _timed(
    each: Sequence[tuple[DiffusionDetector, pd.DataFrame]],
) -> tuple[list[pd.DataFrame], np.ndarray]:
    """Scores of all detectors, and CPU seconds of each in each turn, of shape (detector, turn)."""
    turns: list[list[float]] = []
    scored: list[pd.DataFrame] = []
    while len(turns) < MOST_TURNS and (len(turns) < LEAST_TURNS or np.sum(turns) < ENOUGH_SECONDS):
        scored, seconds = [], []
        for detector, frame in each:
            start = time.process_time()
            scored.append(detector.score_frame(frame))
            seconds.append(time.process_time() - start)
        turns.append(seconds)
    return scored, np.transpose(turns)


def _evidence(
    measured: tuple[DiffusionDetector, pd.DataFrame, np.ndarray | None],
    scored: pd.DataFrame,
    seconds: np.ndarray,
) -> Evidence:
    """Evidence of a detector by its scores of the rows, and by the seconds of each turn."""
    detector, frame, given = measured
    labels = np.full(len(frame), -1) if given is None else np.asarray(given)
    judged = scored["anomaly_score"].notna().to_numpy()
    normal, known = (labels != 1) & judged, (labels >= 0) & judged
    if (labels == 1).all():
        raise ValueError(f"need normal rows; all {len(frame)} rows are labelled as anomalies.")
    if not normal.any():
        raise ValueError(
            f"need normal rows with a score; none of the {len(frame)} rows has one: give series "
            "of more steps in a row."
        )
    return Evidence(
        columns=_scored_columns(detector),
        rows=int(normal.sum()),
        alarms=int(scored["is_anomaly"].to_numpy()[normal].sum()),
        alpha=detector.alpha,
        seconds_per_row=float(seconds.min()) / len(frame),
        most_seconds_per_row=float(seconds.max()) / len(frame),
        **_unlabelled(detector, frame),
        **_labelled(labels[known], scored["anomaly_score"].to_numpy()[known]),
    )


def _checks(
    champion: Evidence | None, challenger: Evidence, rule: PromotionRule
) -> Iterator[tuple[bool, str]]:
    """Every check of a rule: whether it passed, and a sentence."""
    yield _check_alarm_rate(champion, challenger, rule)
    if champion is None:
        yield True, "there is no champion"
        return
    for name in _measures(champion, challenger):
        yield from _check_measure(name, champion, challenger, getattr(rule, name))
    lost = sorted(set(champion.columns) - set(challenger.columns))
    if lost:
        yield rule.lose_columns, f"columns {lost} are lost"
    yield _check_latency(champion, challenger, rule)


def _check_alarm_rate(
    champion: Evidence | None, challenger: Evidence, rule: PromotionRule
) -> tuple[bool, str]:
    """Whether the alarm rate is near alpha, by the rule, by chance or as the champion's is."""
    rate, alpha = challenger.alarm_rate, challenger.alpha
    near = abs(rate - alpha) <= rule.alarm_rate * alpha
    chance = binomtest(challenger.alarms, challenger.rows, alpha).pvalue >= rule.level
    # Where recent rows hold anomalies, or have drifted, no alarm rate is near alpha.
    allowed = np.log1p(rule.alarm_rate)
    nearer = champion is not None and _off_alpha(challenger) <= _off_alpha(champion) + allowed
    beside = "" if champion is None else f", the champion's is {champion.alarm_rate:.2%}"
    return near or chance or nearer, f"alarm rate {rate:.2%} at alpha {alpha:.2%}{beside}"


def _check_latency(
    champion: Evidence, challenger: Evidence, rule: PromotionRule
) -> tuple[bool, str]:
    """Whether the challenger is not clearly too slow: beside the slowest turn of the champion."""
    now, before = challenger.seconds_per_row, max(champion.seconds_per_row, 1e-12)
    slowest = max(champion.most_seconds_per_row or 0.0, before)
    return (
        now <= rule.latency * slowest,
        f"a row takes {now / before:.2f} times the champion's time",
    )


def _off_alpha(evidence: Evidence) -> float:
    """Distance of the alarm rate from alpha, as the logarithm of their ratio."""
    return abs(np.log(max(evidence.alarm_rate, 1e-9) / evidence.alpha))


def _measures(champion: Evidence, challenger: Evidence) -> list[str]:
    """Measures to compare by; the loss depends on the columns, and says nothing of other ones."""
    if None not in (champion.average_precision, challenger.average_precision):
        return ["average_precision", "auroc"]
    same_columns = set(champion.columns) == set(challenger.columns)
    return ["separation", "validation_loss"] if same_columns else ["separation"]


def _check_measure(
    name: str, champion: Evidence, challenger: Evidence, allowed: float
) -> Iterator[tuple[bool, str]]:
    """A measure may fall by `allowed`, the loss rise by this share."""
    before, now = getattr(champion, name), getattr(challenger, name)
    if before is not None and now is not None:
        loss = name == "validation_loss"
        good = now <= before * (1 + allowed) if loss else now >= before - allowed
        yield good, f"{name.replace('_', ' ')} {now:.3f} after {before:.3f}"


def _scored_columns(detector: DiffusionDetector) -> tuple[str, ...]:
    model = detector.model_
    return tuple(map(str, model.columns if detector.unit == "row" else model.names))


def _unlabelled(detector: DiffusionDetector, frame: pd.DataFrame) -> dict[str, float | None]:
    """Validation loss and separation; None where there are too few rows for them."""
    found: dict[str, float | None] = {"validation_loss": None, "separation": None}
    try:
        found["validation_loss"] = -likelihood(detector, frame)
        found["separation"] = separation(detector, frame)
    except ValueError:
        pass
    return found


def _labelled(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Measures against the labels; none where these are all the same."""
    if len(np.unique(labels)) < 2:
        return {}
    return {"average_precision": average_precision(labels, scores), "auroc": auroc(labels, scores)}
