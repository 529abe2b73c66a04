"""Panels whose rows are named by series and time: levels of the index as columns, and back."""

from collections.abc import Collection
from typing import Any

import pandas as pd

from anomdiff.encoding.times import has_times

__all__ = ["keys_as_columns", "levels_as_columns", "without_levels"]

# Names of levels that have none.
SERIES, TIME = "series", "time"


def keys_as_columns(
    frame: pd.DataFrame, series: Any = None, time: Any = None
) -> tuple[pd.DataFrame, Any, Any]:
    """Put series and time before the columns where they are levels of the index, which stays.

    Parameters
    ----------
    frame : DataFrame
        Rows as they came.
    series, time : label, optional
        Names of columns or of levels; by default the one level with times is the time, and the
        other one the series.

    Returns
    -------
    keyed : DataFrame
        The frame, as it is where the index has no such levels.
    series, time : label
        Names of the columns.

    Raises
    ------
    ValueError
        If several levels could be the time or the series, or a column has the name of a level.
    """
    levels = _levels_of(frame, series, time)
    if not levels:
        return frame, series, time
    if taken := [name for name in levels if name in frame.columns.tolist()]:
        raise ValueError(
            f"need levels of the index and columns of different names; got both for {taken}: "
            "rename the columns, or drop them."
        )
    cells = {name: frame.index.get_level_values(place) for name, place in levels.items()}
    keys = pd.DataFrame({name: pd.Series(each) for name, each in cells.items()})
    return pd.concat([keys.set_axis(frame.index), frame], axis=1), *levels


def levels_as_columns(frame: pd.DataFrame, names: Collection) -> pd.DataFrame:
    """Frame whose levels of these names have become columns."""
    if not isinstance(frame.index, pd.MultiIndex):
        return frame
    levels = [name for name in frame.index.names if name is not None and name in names]
    return frame.reset_index(levels) if levels else frame


def without_levels(frame: pd.DataFrame) -> pd.DataFrame:
    """Frame without the columns that its index has as levels."""
    if not isinstance(frame.index, pd.MultiIndex):
        return frame
    levels = [name for name in frame.index.names if name is not None]
    return frame.drop(columns=[name for name in levels if name in frame.columns.tolist()])


def _are_columns(names: tuple, columns: pd.Index) -> bool:
    """Whether series and time both are columns: the index only names the rows."""
    return all(name is not None and name in columns.tolist() for name in names)


def _name(level: Any, given: Any, default: str) -> Any:
    if level is not None:
        return level
    return default if given is None else given


def _unclear(names: list, role: str) -> ValueError:
    return ValueError(
        f"need one level of {role} in the index; got the levels {names}: name those of series and "
        "time in series= and time=, and reset_index() or drop the others."
    )


def _levels_of(frame: pd.DataFrame, series: Any, time: Any) -> dict[Any, int]:
    """Number of the level by the name of its column, series first; empty where there are none."""
    index = frame.index
    if not isinstance(index, pd.MultiIndex) or _are_columns((series, time), frame.columns):
        return {}
    names = list(index.names)
    timed = [place for place, level in enumerate(index.levels) if has_times(level)]
    at_time = names.index(time) if time is not None and time in names else None
    if at_time is None and len(timed) == 1 and time not in frame.columns.tolist():
        (at_time,) = timed
    if at_time is None:
        if timed or (series is not None and series in names):
            raise _unclear(names, "time")
        return {}
    others = [place for place in range(len(names)) if place != at_time]
    at_series = names.index(series) if series is not None and series in names else None
    if at_series is None and len(others) == 1 and series not in frame.columns.tolist():
        (at_series,) = others
    if at_series is None or len(others) > 1:
        raise _unclear(names, "series")
    return {
        _name(names[at_series], series, SERIES): at_series,
        _name(names[at_time], time, TIME): at_time,
    }
