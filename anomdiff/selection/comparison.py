"""Whether a challenger may take the champion's place: evidence of both, a rule, and a verdict.

Nothing here knows MLflow: the verdict is a function of numbers, and `registry.promote` acts on it.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.detectors.timeseries import TimeSeriesDetector
from anomdiff.metrics.detection import auroc, average_precision
from anomdiff.selection.criteria import likelihood, separation


@dataclass(frozen=True)
class Evidence:
    """What is known of a model on recent rows.

    Attributes
    ----------
    columns : tuple of str
        Columns that it looks at.
    rows, alarms : int
        Rows that are not known to be anomalies, and alarms among them.
    alpha : float
        Share of alarms that it promises.
    seconds_per_row : float
        Time to score a row within a batch.
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
        Largest distance of the alarm rate from alpha, as a share of alpha. More is forgiven if
        chance explains it, or if it is no further off than the champion's, within this share.
    level : float
        Chance, by binomial test, below which a distance is no accident.
    latency : float
        How many times the champion's time per row is fine.
    lose_columns : bool
        Whether it may do without columns that the champion looks at.
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
    """What a rule says.

    Attributes
    ----------
    promote : bool
        Whether the challenger may take over: nothing speaks against it.
    passed, failed : tuple of str
        Sentences that speak for and against it.
    """

    promote: bool
    passed: tuple[str, ...]
    failed: tuple[str, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """What decided."""
        return self.passed if self.promote else self.failed


def promotion_verdict(
    champion: Evidence | None, challenger: Evidence, rule: PromotionRule | None = None
) -> Verdict:
    """Say whether a challenger may take over, and why.

    Parameters
    ----------
    champion : Evidence or None
        None if there is none: the challenger then only has to keep its own promises.
    challenger : Evidence
        On the same rows.
    rule : PromotionRule, optional
        By default its own defaults.

    Returns
    -------
    verdict : Verdict
        A measure that is not known of both says nothing.
    """
    checks = list(_checks(champion, challenger, rule or PromotionRule()))
    passed = tuple(sentence for good, sentence in checks if good)
    failed = tuple(sentence for good, sentence in checks if not good)
    return Verdict(not failed, passed, failed)


def gather(
    detector: DiffusionDetector, frame: pd.DataFrame, labels: np.ndarray | None = None
) -> Evidence:
    """Measure a detector on recent rows.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        Fitted detector.
    frame : DataFrame
        Recent rows, the same for both models.
    labels : int array of shape (row,), optional
        1 for an anomaly, 0 for a normal row, -1 where it is not known.

    Raises
    ------
    ValueError
        If the data cannot be used, or all rows are anomalies.
    """
    labels = np.full(len(frame), -1) if labels is None else np.asarray(labels)
    harmless = labels != 1
    if not harmless.any():
        raise ValueError(f"need normal rows; all {len(frame)} rows are labelled as anomalies.")
    detector.score_frame(frame.head(100))  # the first call is slower
    start = time.perf_counter()
    scored = detector.score_frame(frame)
    seconds = time.perf_counter() - start
    known = labels >= 0
    return Evidence(
        columns=_columns(detector),
        rows=int(harmless.sum()),
        alarms=int(scored["is_anomaly"].to_numpy()[harmless].sum()),
        alpha=detector.alpha,
        seconds_per_row=seconds / len(frame),
        **_unlabelled(detector, frame),
        **_labelled(labels[known], scored["anomaly_score"].to_numpy()[known]),
    )


def _checks(champion, challenger: Evidence, rule: PromotionRule) -> Iterator[tuple[bool, str]]:
    """Every question that a rule asks: whether the answer is good, and the answer."""
    yield _alarms(champion, challenger, rule)
    if champion is None:
        yield True, "there is no champion"
        return
    labelled = None not in (champion.average_precision, challenger.average_precision)
    names = ("average_precision", "auroc") if labelled else ("separation",)
    for name in names:
        yield from _drop(name, champion, challenger, getattr(rule, name))
    same_columns = set(champion.columns) == set(challenger.columns)
    if not labelled and same_columns:
        yield from _rise(champion.validation_loss, challenger.validation_loss, rule.validation_loss)
    lost = sorted(set(champion.columns) - set(challenger.columns))
    if lost:
        yield rule.lose_columns, f"columns {lost} are lost"
    factor = challenger.seconds_per_row / champion.seconds_per_row
    yield factor <= rule.latency, f"a row takes {factor:.2f} times the champion's time"


def _alarms(champion, challenger: Evidence, rule: PromotionRule) -> tuple[bool, str]:
    """Whether the alarm rate is what alpha promises."""
    rate, alpha = challenger.alarm_rate, challenger.alpha
    near = abs(rate - alpha) <= rule.alarm_rate * alpha
    chance = binomtest(challenger.alarms, challenger.rows, alpha).pvalue >= rule.level
    # Where recent rows hold anomalies, or have drifted, no alarm rate is near alpha.
    room = np.log1p(rule.alarm_rate)
    nearer = champion is not None and _off(challenger) <= _off(champion) + room
    beside = "" if champion is None else f", the champion's is {champion.alarm_rate:.2%}"
    return near or chance or nearer, f"alarm rate {rate:.2%} at alpha {alpha:.2%}{beside}"


def _off(evidence: Evidence) -> float:
    """Distance of the alarm rate from alpha, as a factor either way."""
    return abs(np.log(max(evidence.alarm_rate, 1e-9) / evidence.alpha))


def _drop(name: str, champion, challenger, allowed: float) -> Iterator[tuple[bool, str]]:
    before, now = getattr(champion, name), getattr(challenger, name)
    if before is not None and now is not None:
        yield now >= before - allowed, f"{name.replace('_', ' ')} {now:.3f} after {before:.3f}"


def _rise(before: float | None, now: float | None, allowed: float) -> Iterator[tuple[bool, str]]:
    if before is not None and now is not None:
        yield now <= before * (1 + allowed), f"held-out loss {now:.3f} after {before:.3f}"


def _columns(detector: DiffusionDetector) -> tuple[str, ...]:
    """Names of what a detector looks at."""
    if isinstance(detector, TimeSeriesDetector):
        return tuple(map(str, detector.encoder_.names))
    return tuple(map(str, detector.columns_))


def _unlabelled(detector: DiffusionDetector, frame: pd.DataFrame) -> dict[str, float | None]:
    """Loss and separation; None where there are too few rows for them."""
    found: dict[str, float | None] = {"validation_loss": None, "separation": None}
    try:
        found["validation_loss"] = -likelihood(detector, frame)
        found["separation"] = separation(detector, frame)
    except ValueError:
        pass
    return found


def _labelled(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Quality against the labels; nothing where these are all the same."""
    if len(np.unique(labels)) < 2:
        return {}
    return {
        "average_precision": average_precision(labels, scores),
        "auroc": auroc(labels, scores),
    }
