"""Frames of one or many series to segments without a gap in time, and back to their rows."""

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from anomdiff.encoding.date_formats import other_date_format
from anomdiff.encoding.date_texts import written_zone
from anomdiff.encoding.json_values import as_label, require_labels, require_types, to_json
from anomdiff.encoding.parsing import (
    infer_spelling_of,
    plain_values,
    read_cells,
    require_distinct_names,
    shown,
    storage,
    warn_of_further,
)
from anomdiff.encoding.segment import Segment
from anomdiff.encoding.spelling import Spelling
from anomdiff.encoding.times import clock, has_times, is_duration, require_no_levels

__all__ = ["PanelLayout"]

# Columns of a scored frame, beside which those of series and time stand.
SCORED = ("anomaly_score", "p_value", "is_anomaly", "channel")
# Where time jumps by more than this many usual steps, a new segment begins.
GAP = 3.0
# Steps that differ from those of training by more than this factor are other steps: windows of
# them hold another length of time, or one row only. So many rows tell what their usual step is.
OTHER_STEP, STEP_ROWS = 1.5, 9
# Share of the rows that may repeat the time of another: hours that clocks are set back, a logger
# that sends twice.
MAX_REPEATED = 0.05
# Dates are nanoseconds; steps of numbered times are seldom as large.
MILLISECOND = 1e6


@dataclass(frozen=True)
class PanelLayout:
    """Which columns of a frame name the series, the time and the channels.

    Examples
    --------
    >>> frame = pd.DataFrame({"host": ["a", "b", "a"], "t": [2, 1, 1], "load": [0.5, 0.1, 0.4]})
    >>> layout = PanelLayout.infer(frame, series="host", time="t")
    >>> [(part.series, part.rows.tolist()) for part in layout.read(frame)]
    [('a', [2, 0]), ('b', [1])]
    """

    series: Any  # None for a single series
    time: Any  # None where the index has the times, or the order of rows
    channels: tuple  # columns that were measured
    step: float | None = None  # usual difference of times in training; None where in order only
    durations: bool = False  # whether times are durations, read in nanoseconds
    date_format: str = ""  # how times were written, if they came as text other than ISO 8601
    spellings: tuple = ()  # decimal mark, unit and factors of each channel
    missing_values: tuple = ()  # numbers and texts that stand for a missing cell
    max_unreadable: float = 0.0  # share of a channel's cells that may be unreadable

    @property
    def has_dates(self) -> bool:
        """Whether times are dates, as far as the usual step tells."""
        return self.step is not None and self.step >= MILLISECOND and not self.durations

    @classmethod
    def infer(
        cls,
        frame: pd.DataFrame,
        series: Any = None,
        time: Any = None,
        missing_values: Sequence = (),
        max_unreadable: float = 0.0,
    ) -> "PanelLayout":
        """Take every column but those of series and time as a channel."""
        require_labels(frame.columns)
        for role, name in (("series", series), ("time", time)):
            if isinstance(name, list):
                raise ValueError(f"need one column of {role}; got {name}: join them into one.")
            if name is not None and name not in frame.columns.tolist():
                raise ValueError(f"need the column {name!r} of {role}; got {list(frame.columns)}.")
            if name in SCORED:
                raise ValueError(
                    f"need a column of {role} whose name is no column of scores; got {name!r}: "
                    "rename it."
                )
        if time is None:
            require_no_levels(frame.index)
        channels = tuple(name for name in frame.columns.tolist() if name not in (series, time))
        if not channels:
            raise ValueError(f"need at least one channel; got only {list(frame.columns)}.")
        absent = plain_values(missing_values)
        layout = cls(
            series, time, channels, missing_values=absent, max_unreadable=float(max_unreadable)
        )
        layout._require(frame)
        return layout._inferred(frame)

    def _inferred(self, frame: pd.DataFrame) -> "PanelLayout":
        """Layout with what is found by looking at the cells of training."""
        found = [infer_spelling_of(frame[name], self.missing_values, "") for name in self.channels]
        dated = dataclasses.replace(
            self,
            date_format=self._format_of_times(frame),
            durations=self._durations(frame),
            spellings=tuple((each.decimal, each.unit, each.factors) for each in found),
        )
        return dataclasses.replace(dated, step=PanelLayout._usual_step(dated, frame))

    def read(self, frame: pd.DataFrame) -> list[Segment[np.ndarray]]:
        """Cut a frame, series mixed and rows in any order, into segments in the order of time.

        Their rows, put together, are all rows of the frame; further columns are warned of. A frame
        that is empty, lacks a column, a series or a time, or has two rows of a time is refused.
        """
        self._require(frame)
        warn_of_further(frame, [self.series, self.time, *self.channels])
        values = np.column_stack([self.numbers(frame[name], name) for name in self.channels])
        times = self.times(frame)
        segments = []
        for label, rows in self._groups(frame):
            breaks = np.empty(0, dtype=int)
            if times is not None:
                rows = rows[np.argsort(times[rows], kind="stable")]
                self._require_distinct(times[rows], frame.index[rows], label)
                breaks = np.flatnonzero(self.is_gap(np.diff(times[rows]))) + 1
            for part in np.split(rows, breaks):
                own = None if times is None else times[part]
                segments.append(Segment(label, part, values[part], ~np.isnan(values[part]), own))
        return segments

    def require_dates(self, frame: pd.DataFrame) -> None:
        """Refuse times that no calendar can be read from."""
        cells = self._clock(frame)
        if cells is not None and not self.durations and storage(cells) != "number":
            return
        if cells is None:
            got = "rows that are only in order"
        else:
            got = f"{'durations' if self.durations else 'numbers'} in column {cells.name!r}"
        raise ValueError(
            f"need times as dates for calendar= and holidays=; got {got}: name a column of "
            "timestamps in time=, or give the frame a DatetimeIndex."
        )

    def zone(self, frame: pd.DataFrame) -> str:
        """Zone of the times, whose wall clock the calendar goes by; ``""`` where they have none."""
        cells = self._clock(frame)
        if cells is None or storage(cells) == "number":
            return ""
        if storage(cells) == "datetime":
            zones = {str(each) for each in _zones(cells)} - {"None"}
        else:
            texts = pd.unique(cells.dropna().astype(str))
            zones = {written_zone([text]) for text in texts.tolist()} - {""}
        if len(zones) > 1:
            raise ValueError(
                f"need times of one zone for calendar= and holidays=; got {sorted(zones)} in "
                f"column {cells.name!r}: set it to pandas.to_datetime(times, utc=True)"
                ".dt.tz_convert('Europe/Berlin'), or the zone whose clock counts."
            )
        return next(iter(zones), "")

    def is_gap(self, differences: float | np.ndarray) -> bool | np.ndarray:
        """Tell whether times this far apart are no neighbours."""
        return differences > GAP * self.step if self.step else differences > np.inf

    def is_other_step(self, differences: float | np.ndarray) -> bool | np.ndarray:
        """Tell whether times this far apart are no step as of training, longer or shorter."""
        if not self.step:
            return differences > np.inf
        return (differences > OTHER_STEP * self.step) | (differences < self.step / OTHER_STEP)

    def other_step(self, frame: pd.DataFrame) -> float | None:
        """Usual difference of times in a frame, where it is not that of training, else None."""
        step = self._usual_step(frame) if self.step and len(frame) >= STEP_ROWS else None
        return step if step is not None and self.is_other_step(step) else None

    def labels(self, frame: pd.DataFrame) -> dict[Any, pd.Series]:
        """Return the columns of series and time, where there are any."""
        return {name: frame[name] for name in (self.series, self.time) if name is not None}

    def to_dict(self) -> dict:
        """Return the layout as JSON values."""
        return {name: to_json(value) for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, state: dict) -> "PanelLayout":
        """Rebuild a layout from `to_dict`."""
        labels = {name: as_label(state[name]) for name in ("series", "time", "channels")}
        later = (
            "durations",
            "date_format",
            "spellings",
            "missing_values",
            "max_unreadable",
        )  # than format 1
        further = {name: as_label(state[name]) for name in later if name in state}
        layout = cls(**labels, step=state["step"], **further)
        require_types(cls, vars(layout))
        return layout

    def numbers(self, cells: pd.Series, name: Any) -> np.ndarray:
        """Read cells of a channel; floats, as most streams bring them, without a detour."""
        if cells.dtype == np.float64 and not self.missing_values:
            if not np.isinf(values := cells.to_numpy()).any():
                return values
        spelled = self.spellings[self.channels.index(name)] if self.spellings else (".", "")
        named = dict(zip(("decimal", "unit", "factors"), spelled, strict=False))
        spelling = Spelling(missing_values=self.missing_values, **named)
        return read_cells(cells, "number", spelling, self.max_unreadable)

    def _require(self, frame: pd.DataFrame) -> None:
        if not len(frame):
            raise ValueError("need at least one row; got an empty frame (0 sample(s)).")
        require_distinct_names(frame.columns)
        columns = set(frame.columns.tolist())
        wanted = [name for name in (self.series, self.time, *self.channels) if name is not None]
        if missing := [name for name in wanted if name not in columns]:
            raise ValueError(f"need the columns {wanted}; {missing} are missing.")

    def _groups(self, frame: pd.DataFrame):
        """Label and rows of each series."""
        if self.series is None:
            return [(None, np.arange(len(frame)))]
        codes, labels = pd.factorize(frame[self.series], sort=False)
        _require_everywhere("series", self.series, codes >= 0, frame.index)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes))[:-1]
        return zip(labels.tolist(), np.split(order, ends), strict=True)

    def times(self, frame: pd.DataFrame) -> np.ndarray | None:
        """Read the times as numbers, None where rows are only in order."""
        cells = self._clock(frame)
        if cells is None:
            return None
        numeric = storage(cells) == "number"
        spelling = Spelling(date_format=self.date_format)
        times = read_cells(cells, "number" if numeric else "datetime", spelling)
        _require_everywhere("time", cells.name, pd.notna(times), frame.index)
        # Nanoseconds since 1970 have more digits than a float.
        whole = not numeric or pd.api.types.is_integer_dtype(cells)
        return (cells.to_numpy() if numeric else times).astype("int64") if whole else times

    def _clock(self, frame: pd.DataFrame) -> pd.Series | None:
        """Cells of the times as timestamps or numbers, durations in nanoseconds."""
        if self.time is not None:
            return clock(frame[self.time])
        if has_times(frame.index):
            return clock(pd.Series(frame.index, name="index"))
        return None

    def _format_of_times(self, frame: pd.DataFrame) -> str:
        """How times are written that come as text; "" for ISO 8601."""
        cells = self._clock(frame)
        if cells is None or storage(cells) != "text":
            return ""
        found = infer_spelling_of(cells).date_format
        read = read_cells(cells, "datetime", Spelling(date_format=found))
        if other := other_date_format(read, found):
            warnings.warn(
                f"times in {cells.name!r} can be read by {found!r} and by {other!r}, and nothing "
                "in the training rows tells which is meant; they are read by the first: give "
                "timestamps if that is wrong.",
                UserWarning,
                stacklevel=6,
            )
        return found

    def _durations(self, frame: pd.DataFrame) -> bool:
        if self.time is None:
            return has_times(frame.index) and is_duration(frame.index.to_series())
        return is_duration(frame[self.time])

    def _require_distinct(self, times: np.ndarray, rows: pd.Index, label) -> None:
        """Refuse times of several rows where they are many; few are steps one after the other."""
        again = np.diff(times) == 0
        if not again.any():
            return
        of = "" if label is None else f" of series {label!r}"
        row, n = shown(rows[again.argmax() + 1]), int(again.sum())
        if n > MAX_REPEATED * len(times):
            raise ValueError(
                f"need one row per time{of}; row {row} repeats one, as {n} of {len(times)} rows "
                "do: name the column that tells series apart in series=, or drop the repeated rows."
            )
        warnings.warn(
            f"{n} of {len(times)} rows{of} repeat the time of another, row {row} first; they are "
            "taken one after the other, in their order.",
            UserWarning,
            stacklevel=2,
        )

    def _usual_step(self, frame: pd.DataFrame) -> float | None:
        times = self.times(frame)
        if times is None:
            return None
        groups = self._groups(frame)
        steps = np.concatenate([np.diff(np.sort(times[rows])) for _, rows in groups])
        return float(np.median(steps)) if len(steps) else None


def _zones(cells: pd.Series) -> set:
    """Zones of timestamps, as a dtype or one by one."""
    if cells.dtype != object:
        return {getattr(cells.dtype, "tz", None) or getattr(cells.dt, "tz", None)}
    return {getattr(cell, "tzinfo", None) for cell in cells.dropna()}


def _require_everywhere(kind: str, name: Any, present: np.ndarray, index: pd.Index) -> None:
    if not present.all():
        row = shown(index[present.argmin()])
        raise ValueError(f"need a {kind} in column {name!r}; row {row} has none.")
