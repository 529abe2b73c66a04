"""Lines of the alarm table that raise no alarm: by rules, by verdicts, or beyond the budget."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from anomdiff.feedback.judge import COLUMNS, Judge
from anomdiff.jobs.alarm_rules import AlarmRule, in_scope
from anomdiff.jobs.alarms.batch import largest
from anomdiff.jobs.exit_codes import SettingsError

__all__ = ["BUDGET", "FEEDBACK", "Muting"]

# Names under which lines are counted that no rule has muted.
BUDGET, FEEDBACK = "most_alarms", "feedback"
VERDICT = "verdict "
JUDGED_TYPES = {
    "priority": pa.float64(),
    "nearest_verdict": pa.string(),
    "verdict_distance": pa.float64(),
}


class Muting:
    """Mutes lines of one night's alarm table; the first of rules, verdicts and budget is named.

    A muted line keeps its numbers and its reasons, and stands below all others. Whatever is not
    known mutes nothing: an alarm that is not explained, a value or an expectation that is missing.

    Parameters
    ----------
    rules : sequence of AlarmRule
        Applied in their order.
    most_alarms : int or None
        Budget.
    batch_date : date
        Night, which `mute_until` is compared with.
    judge : Judge, optional
        Verdicts.
    """

    def __init__(
        self,
        rules: Sequence[AlarmRule],
        most_alarms: int | None,
        batch_date: date,
        judge: Judge | None = None,
    ):
        self.most_alarms, self.batch_date, self.judge = most_alarms, batch_date, judge
        self.rules = {rule.name or f"rule {i}": rule for i, rule in enumerate(rules, start=1)}
        taken = [name for name in self.rules if name in (BUDGET, FEEDBACK) or VERDICT in name]
        if taken or len(self.rules) < len(rules):
            raise SettingsError(
                f"need rules of different names, and none like {BUDGET!r}, {FEEDBACK!r} or "
                f"'{VERDICT}...'; got {[rule.name for rule in rules]}: set another `name`."
            )

    @property
    def types(self) -> dict[str, pa.DataType]:
        """Arrow types of the columns that the alarm table has besides."""
        return {**(JUDGED_TYPES if self.judge is not None else {}), "muted_by": pa.string()}

    @property
    def needs_reasons(self) -> bool:
        """Whether a rule asks for what was expected in a column, so that all are explained."""
        return any(rule.column is not None for rule in self.rules.values())

    def of_rows(self, cells: pd.DataFrame, rows: pd.DataFrame | None) -> pd.DataFrame:
        """What is known of alarms before the night is over.

        Parameters
        ----------
        cells : DataFrame
            At least the columns of all scopes, under their names as text.
        rows : DataFrame or None
            The same alarms with the columns of the model; None for incidents.

        Returns
        -------
        found : DataFrame
            Whether each is in the scope of each rule, and what the verdicts say.
        """
        scopes = {
            _scope(name): in_scope(rule.where, cells).to_numpy(bool)
            for name, rule in self.rules.items()
        }
        found = pd.DataFrame(scopes, index=cells.index)
        if self.judge is None or rows is None:
            return found
        return found.join(self.judge.judge(rows)[COLUMNS])

    def settle(self, found: pd.DataFrame) -> pd.DataFrame:
        """Say what mutes each line, and put muted ones last.

        Parameters
        ----------
        found : DataFrame
            Lines with ``severity``, reasons and the columns of ``of_rows``, the highest scores
            first.

        Returns
        -------
        settled : DataFrame
            With ``muted_by``: the name of a rule, ``verdict NAME`` or ``most_alarms``; empty where
            a line is an alarm. Alarms come first, then what is muted, both by priority.
        """
        priority = found["priority"] if self.judge is not None else found["severity"]
        found = found.iloc[largest(priority.to_numpy(), len(found))]
        muted_by = np.full(len(found), "", dtype=object)
        for name, rule in self.rules.items():
            mutes = found[_scope(name)].to_numpy(bool) & self._mutes(rule, found)
            muted_by[mutes & (muted_by == "")] = name
        if self.judge is not None:
            free = muted_by == ""
            muted_by[free] = found["muted_by"].to_numpy()[free]
        free = np.flatnonzero(muted_by == "")
        if self.most_alarms is not None:
            muted_by[free[self.most_alarms :]] = BUDGET
        return found.assign(muted_by=muted_by).iloc[np.argsort(muted_by != "", kind="stable")]

    def counts(self, muted_by: pd.Series) -> dict[str, Any]:
        """What the summary says: lines by what mutes them, and whether verdicts were learned from.

        ``alarms_muted`` counts each rule by its name, all verdicts as ``feedback``, and the budget
        as ``most_alarms``; with the lines that are not muted they add up to the table.
        """
        names = muted_by.mask(muted_by.str.startswith(VERDICT), FEEDBACK)
        counts = names[names != ""].value_counts(sort=False)
        told: dict[str, Any] = {"alarms_muted": {str(name): int(n) for name, n in counts.items()}}
        if self.judge is not None:
            told["feedback"] = {
                "verdicts": len(self.judge.names),
                "radius": self.judge.nearest.radius,
                "reweighting": self.judge.reweighting.told,
            }
        return told

    def _mutes(self, rule: AlarmRule, found: pd.DataFrame) -> np.ndarray:
        """Whether a rule mutes lines that are in its scope."""
        mutes = np.full(len(found), False)
        if rule.mute_until is not None:
            mutes |= self.batch_date < rule.mute_until
        if rule.column is None:
            return mutes
        value = pd.to_numeric(found["reason_1_value"], errors="coerce")
        expected = pd.to_numeric(found["reason_1_expected"], errors="coerce")
        change = (value - expected).to_numpy(float)
        own = (found["reason_1_column"] == str(rule.column)).to_numpy() & ~np.isnan(change)
        if rule.smallest_change is not None:
            mutes |= own & (np.abs(change) < rule.smallest_change)
        if rule.direction is not None:
            lies_there = change > 0 if rule.direction == "above" else change < 0
            mutes |= own & ~lies_there
        return mutes


def _scope(name: str) -> str:
    """Column that tells whether lines are in the scope of a rule."""
    return f"in scope of {name}"
