"""What a clock and a calendar say of a moment: minute, hour, weekday, month and holidays.

Each is a number of hat functions, 1 at their place and falling to 0 at the next one, so that a
linear model of them is a curve of straight pieces through one value for each place.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from anomdiff.encoding.json_values import from_json, to_json

__all__ = ["PARTS", "Calendar", "require_calendar"]

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR
PARTS = ("minute", "hour", "weekday", "month")
# Nanoseconds of training that show a part of the calendar twice; a month is shown by a year.
CYCLES = {"minute": 2 * HOUR, "hour": 2 * DAY, "weekday": 14 * DAY, "month": 365 * DAY}
SUNDAY = 6


@dataclass(frozen=True)
class Calendar:
    """The parts of the calendar that say what is normal, by the wall clock of a zone.

    Where hour and weekday both count, every hour of the week has its own value. A holiday is a
    Sunday, as far as its own hours do not show another pattern.

    Parameters
    ----------
    parts : tuple of str
        Out of ``PARTS``.
    country : str
        Whose public holidays count, such as ``"DE"`` or ``"US-CA"``; ``""`` for none.
    dates : tuple of date
        Holidays of one's own.
    zone : str
        Whose wall clock counts; ``""`` where times have no zone.

    Examples
    --------
    >>> noon = pd.DatetimeIndex(["2026-01-04 12:30"]).as_unit("ns").asi8
    >>> Calendar(("hour",)).features(noon).nonzero()[1]  # between 12 and 13
    array([12, 13])
    >>> Calendar(("weekday",)).features(noon)  # a Sunday
    array([[0., 0., 0., 0., 0., 0., 1.]])
    """

    parts: tuple[str, ...] = ()
    country: str = ""
    dates: tuple[datetime.date, ...] = ()
    zone: str = ""

    @classmethod
    def of(cls, parts: Sequence[str], holidays: Any, zone: str) -> "Calendar":
        """Calendar of the parameters of ``TimeSeriesDetector``, which are checked."""
        country = holidays if isinstance(holidays, str) else ""
        days = () if holidays is None or country else holidays
        dates = tuple(sorted({day for each in days if (day := _day(each)) is not None}))
        return cls(tuple(part for part in PARTS if part in parts), country, dates, zone)

    def __bool__(self) -> bool:
        return bool(self.parts or self.country or self.dates)

    def features(self, times: Int[np.ndarray, "step"]) -> Float[np.ndarray, "step feature"]:
        """Hat functions of moments, given in nanoseconds since 1970 in UTC."""
        wall = self.wall_clock(times)
        day, hour = wall // DAY, wall % DAY / HOUR
        holiday = self.are_holidays(day)
        weekday = np.where(holiday, SUNDAY, (day + 3) % 7)  # 1970 began on a Thursday
        hours = _hats(hour, 24)
        made = {
            "minute": lambda: _hats(wall % HOUR / MINUTE, 60),
            "hour": lambda: hours,
            "weekday": lambda: np.eye(7)[weekday],
            "month": lambda: _hats(_months(wall), 12),
        }
        blocks = [made[part]() for part in self.parts]
        if {"hour", "weekday"} <= set(self.parts):
            blocks.append(_hats(weekday * 24 + hour, 7 * 24))
        if self.country or self.dates:
            own = hours if "hour" in self.parts else np.ones((len(day), 1))
            blocks.append(own * holiday[:, None])
        return np.hstack([np.empty((len(day), 0)), *blocks])

    def wall_clock(self, times: Int[np.ndarray, "step"]) -> Int[np.ndarray, "step"]:
        """Moments in UTC as the clock of the zone shows them, both in nanoseconds since 1970."""
        if not self.zone:
            return times
        stamps = pd.DatetimeIndex(times.view("M8[ns]")).tz_localize("UTC").tz_convert(self.zone)
        return stamps.tz_localize(None).as_unit("ns").asi8

    def are_holidays(self, days: Int[np.ndarray, "step"]) -> np.ndarray:
        """Tell which days, counted from 1970, are holidays."""
        found = np.array(self.dates, dtype="M8[D]")
        if self.country and len(days):
            years = np.unique(days.astype("M8[D]").astype("M8[Y]").astype(int)) + 1970
            found = np.concatenate([found, *(_of_year(self.country, int(y)) for y in years)])
        return np.isin(days, found.astype(int))

    def unseen(self, times: Int[np.ndarray, "step"]) -> list[str]:
        """Parts of the calendar that times of training do not show twice."""
        whole = int(np.ptp(times)) if len(times) else 0
        return [part for part in self.parts if whole < CYCLES[part] * (1 - 1e-2)]

    def to_dict(self) -> dict[str, Any]:
        """Return the calendar as JSON values."""
        return {name: to_json(value) for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Calendar":
        """Rebuild a calendar from `to_dict`."""
        return cls(**{name: from_json(value) for name, value in state.items()})


def require_calendar(parts: Any, holidays: Any) -> None:
    """Refuse parameters that make no calendar.

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, what it needs and what came.
    ImportError
        If holidays of a country are asked for and the package that knows them is missing.
    """
    listed = [] if isinstance(parts, str) or not np.iterable(parts) else [*parts]
    if isinstance(parts, str) or not np.iterable(parts) or not set(listed) <= set(PARTS):
        raise ValueError(f"calendar must be a list out of {list(PARTS)}; got {parts!r}.")
    if isinstance(holidays, str):
        _of_year(holidays, 2000)
    elif holidays is not None:
        for each in holidays if np.iterable(holidays) else [holidays]:
            if _day(each) is None:
                raise TypeError(
                    "holidays must be the code of a country, such as 'DE' or 'US-CA', or a list of "
                    f"dates, also as text like '2026-01-06'; got {each!r:.80}."
                )


def _day(value: Any) -> datetime.date | None:
    """Day of a date, a timestamp or an ISO text; None of anything else."""
    try:
        if isinstance(value, str):
            return datetime.date.fromisoformat(value.strip())
        dated = isinstance(value, datetime.date | np.datetime64) and not pd.isna(value)
        return pd.Timestamp(value).date() if dated else None
    except ValueError:
        return None


@cache
def _of_year(country: str, year: int) -> np.ndarray:
    """Public holidays of a country or one of its parts in a year, as datetime64[D]."""
    try:
        import holidays
    except ImportError:
        raise ImportError(
            f"need the package holidays for holidays={country!r}; pip install 'anomdiff[holidays]'."
        ) from None
    code, _, part = country.partition("-")
    try:
        found = holidays.country_holidays(code, subdiv=part or None, years=year)
    except (NotImplementedError, KeyError):
        raise ValueError(
            "holidays must be the code of a country that the package holidays knows, such as 'DE' "
            f"or 'US-CA', or a list of dates; got {country!r}."
        ) from None
    return np.array(sorted(found), dtype="M8[D]")


def _months(wall: np.ndarray) -> np.ndarray:
    """Place in the year in months; the middle of a month is its number from 0."""
    stamps = wall.view("M8[ns]")
    month = stamps.astype("M8[M]")
    start, end = (each.astype("M8[ns]").astype(np.int64) for each in (month, month + 1))
    return month.astype(int) % 12 + (wall - start) / (end - start) - 0.5


def _hats(places: np.ndarray, n: int) -> np.ndarray:
    """Hat functions at 0, 1, ... n - 1 of a circle of length n: (step, n)."""
    below = np.floor(places).astype(int)
    share = places - below
    found, steps = np.zeros((len(places), n)), np.arange(len(places))
    found[steps, below % n] = 1 - share
    found[steps, (below + 1) % n] += share
    return found
