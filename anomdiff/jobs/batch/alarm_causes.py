"""Why a batch has more alarms than make sense: the columns and the series that raise them."""

from typing import Any

import numpy as np
import pandas as pd

from anomdiff.jobs.settings import ScoreSettings
from anomdiff.monitoring.scores import alarm_drift

__all__ = ["AlarmCauses", "alarm_limit", "is_senseless", "sentence", "series_shares"]

# Alarms that are explained, of however many.
EXPLAINED_ALARMS = 20
# Alarms of more than half of the rows make no sense, whatever `alpha` is.
MOST_ALARMS = 0.5
# As many alarms come by chance with this probability: a few rows may all be anomalies.
BY_CHANCE = 0.001
# A few series, fewer than half of all, that have so large a share of the alarms are named.
NAMED_SERIES, NEARLY_ALL = 3, 0.9
# Columns that are named, and the share of cells beyond training from which on they always are.
NAMED_COLUMNS, MANY_BEYOND = 3, 0.5


class AlarmCauses:
    """Collects a sample of the alarms of all batches, and explains it."""

    def __init__(self, detector: Any):
        self.detector = detector
        self.channels = pd.Series(dtype=float)  # of alarms of series: how often each is named
        self.rows = pd.DataFrame()
        self.keys = np.empty(0)
        self.rng = np.random.default_rng(0)

    def add(self, rows: pd.DataFrame, scored: pd.DataFrame) -> None:
        """Take the alarms of a batch into the sample."""
        flagged = scored["is_anomaly"].to_numpy(bool)
        if not flagged.any():
            return
        if self.detector.unit == "step":
            counts = scored["channel"][flagged].astype(str).value_counts()
            self.channels = self.channels.add(counts, fill_value=0)
            return
        keys = self.rng.random(flagged.sum())
        first = np.argsort(keys)[:EXPLAINED_ALARMS]
        alarms = rows[flagged].iloc[first]
        # Of few rows, explain refuses cells that score_frame counts as missing among many.
        alarms = alarms.mask(self.detector.schema_.unreadable(alarms))
        self.rows = pd.concat([self.rows, alarms]) if len(self.rows) else alarms
        self.keys = np.concatenate([self.keys, keys[first]])
        kept = np.argsort(self.keys)[:EXPLAINED_ALARMS]
        self.rows, self.keys = self.rows.iloc[kept], self.keys[kept]

    def columns(self) -> dict[str, dict[str, float]]:
        """Columns by their ``contribution``, the largest first: shares of the scores of alarms.

        For columns of a table, ``beyond`` is the share of these alarms whose cell is beyond what
        training showed.
        """
        if self.detector.unit == "step":
            shares = self.channels.sort_values(ascending=False) / max(self.channels.sum(), 1)
            return {name: {"contribution": float(share)} for name, share in shares.items()}
        explained = self.detector.explain(self.rows)
        totals = explained.groupby("column", sort=False)["contribution"].sum()
        model = self.detector.model_
        beyond = model.encoder.beyond(model.schema.check(self.rows)).mean()
        whole = max(totals.sum(), np.finfo(float).tiny)
        return {
            str(name): {"contribution": float(total / whole), "beyond": float(beyond[name])}
            for name, total in totals.sort_values(ascending=False, kind="stable").items()
        }


def alarm_limit(settings: ScoreSettings, alpha: float) -> float:
    """Alarm rate above which alarms make no sense."""
    return max(settings.max_alarm_rate, min(settings.max_alarm_factor * alpha, MOST_ALARMS))


def is_senseless(settings: ScoreSettings, alarms: int, rows: int, alpha: float) -> bool:
    """Tell whether an alarm rate makes no sense, and not by chance in a few rows."""
    drift = alarm_drift(alarms, rows, alpha)
    return drift["alarm_rate"] > alarm_limit(settings, alpha) and drift["p_value"] < BY_CHANCE


def series_shares(alarms: pd.Series) -> dict[str, float]:
    """Shares of the alarms of the few series that have nearly all; empty where many have some.

    Parameters are the alarms of each series, by its label.
    """
    shares = alarms.sort_values(ascending=False, kind="stable") / max(alarms.sum(), 1)
    n = int((shares.cumsum() < NEARLY_ALL).sum()) + 1
    few = n <= NAMED_SERIES and 2 * n < len(shares)
    return {str(label): float(share) for label, share in shares.head(n).items()} if few else {}


def sentence(
    rate: float,
    alpha: float,
    columns: dict[str, dict[str, float]],
    series: dict[str, float] | None = None,
) -> str:
    """Say how many alarms there are, and which columns raise them, of which few series if so."""
    beyond = [name for name, each in columns.items() if each.get("beyond", 0) >= MANY_BEYOND]
    named = list(dict.fromkeys([*list(columns)[:NAMED_COLUMNS], *beyond[:NAMED_COLUMNS]]))
    told = []
    for name in named:
        each = columns[name]
        more = f", {each['beyond']:.0%} beyond training" if each.get("beyond") else ""
        told.append(f"{name!r} ({each['contribution']:.0%} of the scores{more})")
    begin = f"need an alarm rate near alpha = {alpha:g}; got {rate:.1%}, which makes no sense"
    if series:
        labels = ", ".join(
            f"{label!r} ({share:.0%} of the alarms)" for label, share in series.items()
        )
        return (
            f"{begin} unless it is a fault of the series {labels} in the columns "
            f"{', '.join(told)}: look at them; where they are normal now, train anew."
        )
    return (
        f"{begin}. It comes from the columns {', '.join(told)}. Look at them; where they are "
        "normal now, train anew, or leave them out with `kinds`."
    )
