"""Frames of one or many series to segments without a gap in time, and back to their rows."""

import dataclasses
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from anomdiff.encoding.channel_cells import require_numbers
from anomdiff.encoding.date_formats import other_date_format
from anomdiff.encoding.json_values import as_label, require_labels, require_types, to_json
from anomdiff.encoding.parsing import (
    infer_spelling_of,
    plain_values,
    read_cells,
    require_distinct_names,
    shown,
    storage,
    unreadable_cells,
    warn_of_further,
)
from anomdiff.encoding.repeated_times import MOST_REPEATED, OrderedRows, one_per_time
from anomdiff.encoding.segment import Segment
from anomdiff.encoding.spelling import Spelling
from anomdiff.encoding.times import clock, has_times, is_duration, require_no_levels
from anomdiff.encoding.usual_steps import UsualSteps, infer_steps, shown_step

__all__ = ["PanelLayout"]

# Columns of a scored frame, beside which those of series and time stand.
SCORED = ("anomaly_score", "p_value", "is_anomaly", "channel", "final")
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
    series_steps: tuple = ()  # label, usual, least and most difference of times of each series
    duplicate_times: str = "warn"  # what becomes of rows of one time: see one_per_time
    dropped: tuple = ()  # columns of training that are no channels

    @cached_property
    def steps(self) -> UsualSteps:
        """Steps of the series of training."""
        return UsualSteps(self.step, self.series_steps)

    @property
    def has_dates(self) -> bool:
        """Whether times are dates, as far as the usual step tells."""
        return self.step is not None and self.step >= MILLISECOND and not self.durations

    @property
    def measures_time(self) -> bool:
        """Whether steps are durations, not only differences of numbers."""
        return self.has_dates or self.durations

    @classmethod
    def infer(
        cls,
        frame: pd.DataFrame,
        series: Any = None,
        time: Any = None,
        missing_values: Sequence = (),
        max_unreadable: float = 0.0,
        *,
        drop: Sequence = (),
        duplicate_times: str = "warn",
    ) -> "PanelLayout":
        """Take every column but those of series and time, and those to drop, as a channel."""
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
        dropped = plain_values(drop)
        if unknown := [name for name in dropped if name not in frame.columns.tolist()]:
            raise ValueError(f"need columns of drop among {list(frame.columns)}; got {unknown}.")
        if keys := [name for name in dropped if name in (series, time)]:
            raise ValueError(f"need columns of drop that are no series or time; got {keys}.")
        others = (series, time, *dropped)
        channels = tuple(name for name in frame.columns.tolist() if name not in others)
        if not channels:
            none = [name for name in others if name is not None]
            raise ValueError(
                f"need at least one channel; got none beside {none}, the columns of series, time "
                "and drop."
            )
        absent = plain_values(missing_values)
        layout = cls(
            series,
            time,
            channels,
            missing_values=absent,
            max_unreadable=float(max_unreadable),
            duplicate_times=duplicate_times,
            dropped=dropped,
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
        require_numbers(frame, dated.channels, dated.numbers)
        times = dated.times(frame)
        if times is None:
            return dated
        step, by_series = infer_steps(
            (label, np.sort(times[rows])) for label, rows in dated.groups(frame)
        )
        return dataclasses.replace(dated, step=step, series_steps=by_series)

    def read(
        self, frame: pd.DataFrame, left_out: np.ndarray | None = None
    ) -> list[Segment[np.ndarray]]:
        """Cut a frame, series mixed and rows in any order, into segments in the order of time.

        Their rows, put together, are all rows of the frame but those ``left_out``, a mask, which
        are gaps, and those that ``duplicate_times`` leaves out; further columns are warned of. A
        frame that is empty, lacks a column, a series or a time is refused.
        """
        self._require(frame)
        warn_of_further(frame, [self.series, self.time, *self.channels, *self.dropped])
        values = np.column_stack([self.numbers(frame[name], name) for name in self.channels])
        times = self.times(frame)
        segments = []
        for label, rows in self.groups(frame):
            breaks: Any = np.zeros(len(rows) - 1, dtype=bool)
            own, cells = None, values[rows]
            if times is not None:
                rows, own, cells = self._in_order(frame, label, rows, times, values)
                breaks = self.steps.is_gap(np.diff(own), label, own)
            out = np.zeros(len(rows), dtype=bool) if left_out is None else left_out[rows]
            ends = np.flatnonzero(breaks | (out[1:] != out[:-1])) + 1
            for part in np.split(np.arange(len(rows)), ends):
                if not out[part[0]]:
                    at = None if own is None else own[part]
                    seen = ~np.isnan(cells[part])
                    segments.append(Segment(label, rows[part], cells[part], seen, at))
        return segments

    def require_steps(self, segments: Iterable[Segment]) -> None:
        """Refuse series whose steps are not as far apart as in training, longer or shorter."""
        by_series: dict[Any, list[np.ndarray]] = {}
        for segment in segments:
            if segment.times is not None:
                by_series.setdefault(segment.series, []).append(segment.times)
        for label, parts in by_series.items():
            step = self.steps.other(label, np.diff(np.concatenate(parts)))
            if step is not None:
                raise ValueError(self.told_of_step(label, step))

    def told_of_step(self, label: Any, step: float) -> str:
        """Say that the rows of a series are ``step`` apart, which is not as in training."""
        of, is_time = "" if label is None else f" of series {label!r}", self.measures_time
        usual, found = (shown_step(each, is_time) for each in (self.steps.of(label), step))
        return (
            f"need rows{of} {usual} apart, as in training; they are {found} apart as a rule, so "
            "that windows hold another length of time: resample them, or fit to rows of this step."
        )

    def labels(self, frame: pd.DataFrame) -> dict[Any, pd.Series]:
        """Return the columns of series and time, where there are any."""
        return {name: frame[name] for name in (self.series, self.time) if name is not None}

    def to_dict(self) -> dict:
        """Return the layout as JSON values."""
        names = (each.name for each in dataclasses.fields(self))
        return {name: to_json(getattr(self, name)) for name in names}

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
            "series_steps",
            "duplicate_times",
            "dropped",
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
        return read_cells(cells, "number", self._spelling(name), self.max_unreadable)

    def unreadable(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Whether each cell of the channels of a frame is neither missing nor a number."""
        found = {
            name: unreadable_cells(frame[name], "number", self._spelling(name))
            for name in self.channels
            if name in frame
        }
        return pd.DataFrame(found, index=frame.index)

    def _spelling(self, name: Any) -> Spelling:
        """How the numbers of a channel are written."""
        spelled = self.spellings[self.channels.index(name)] if self.spellings else (".", "")
        named = dict(zip(("decimal", "unit", "factors"), spelled, strict=False))
        return Spelling(missing_values=self.missing_values, **named)

    def _require(self, frame: pd.DataFrame) -> None:
        if not len(frame):
            raise ValueError("need at least one row; got an empty frame (0 sample(s)).")
        require_distinct_names(frame.columns)
        columns = set(frame.columns.tolist())
        wanted = [name for name in (self.series, self.time, *self.channels) if name is not None]
        if missing := [name for name in wanted if name not in columns]:
            raise ValueError(f"need the columns {wanted}; {missing} are missing.")

    def groups(self, frame: pd.DataFrame) -> Iterable[tuple[Any, np.ndarray]]:
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
        cells = self.clock(frame)
        if cells is None:
            return None
        numeric = storage(cells) == "number"
        spelling = Spelling(date_format=self.date_format)
        times = read_cells(cells, "number" if numeric else "datetime", spelling)
        _require_everywhere("time", cells.name, pd.notna(times), frame.index)
        # Nanoseconds since 1970 have more digits than a float.
        whole = not numeric or pd.api.types.is_integer_dtype(cells)
        return (cells.to_numpy() if numeric else times).astype("int64") if whole else times

    def clock(self, frame: pd.DataFrame) -> pd.Series | None:
        """Cells of the times as timestamps or numbers, durations in nanoseconds."""
        if self.time is not None:
            return clock(frame[self.time])
        if has_times(frame.index):
            return clock(pd.Series(frame.index, name="index"))
        return None

    def _format_of_times(self, frame: pd.DataFrame) -> str:
        """How times are written that come as text; "" for ISO 8601."""
        cells = self.clock(frame)
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

    def _in_order(
        self,
        frame: pd.DataFrame,
        label: Any,
        rows: np.ndarray,
        times: np.ndarray,
        values: np.ndarray,
    ) -> OrderedRows:
        """Rows of a series in the order of their time, one of each time."""
        rows = rows[np.argsort(times[rows], kind="stable")]
        ordered = OrderedRows(rows, times[rows], values[rows])
        again = np.diff(ordered.times) == 0
        if not again.any():
            return ordered
        if self.duplicate_times not in ("warn", "error"):
            return one_per_time(ordered, self.duplicate_times)
        of, n = "" if label is None else f" of series {label!r}", int(again.sum())
        at = rows[1 + again.argmax()]
        cells = frame.index if self.time is None else frame[self.time].array
        if self.duplicate_times == "warn" and n <= MOST_REPEATED * len(rows):
            warnings.warn(
                f"{n} of {len(rows)} rows{of} repeat the time of another, first {cells[at]} in row "
                f"{shown(frame.index[at])}; the first of each counts: set duplicate_times='first', "
                "'last' or 'mean', or give times with their zone if clocks went back an hour.",
                UserWarning,
                stacklevel=2,
            )
            return one_per_time(ordered, "first")
        raise ValueError(
            f"need one row per time{of}; {n} of {len(rows)} rows repeat the time of another, first "
            f"{cells[at]} in row {shown(frame.index[at])}: set duplicate_times='first', 'last' or "
            "'mean', give times with their zone if clocks went back an hour, or name the column "
            "that tells series apart in series=."
        )


def _require_everywhere(kind: str, name: Any, present: np.ndarray, index: pd.Index) -> None:
    if not present.all():
        row = shown(index[present.argmin()])
        raise ValueError(f"need a {kind} in column {name!r}; row {row} has none.")
