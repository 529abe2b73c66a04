"""Dates as people write them, read by a known format and written again."""

import datetime
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

__all__ = [
    "ORDINAL",
    "iso_format",
    "nanoseconds",
    "parse_dates",
    "write_dates",
    "written_zone",
]

ISO_DATE = r"\d{4}([-/])\d{1,2}\1\d{1,2}(?:[T ].*)?$"
# Whole years that nanoseconds hold; 9999-12-31 and the like move to their ends.
FIRST, LAST = (pd.Timestamp(year, 1, 1).value for year in (1678, 2262))
# Days as they are spoken, 3rd.
ORDINAL = r"\b(\d\d?)(?:st|nd|rd|th)\b"
# A zone behind a clock: an offset from UTC, or a name in capitals.
ZONE = r".*(?:\d:\d\d|T\d{4,6})\S*? ?([+-]\d\d:?\d\d|Z|[A-Z]{3,5})"


def iso_format(texts: np.ndarray) -> str:
    """Pattern for ``strftime`` of ISO dates, from the longest text."""
    longest = max((text for text in texts if text is not None), key=len, default="")
    day = "%Y/%m/%d" if "/" in longest else "%Y-%m-%d"
    if ":" not in longest:
        return day
    fraction = ".%f" if "." in longest else ""
    zone = "%z" if written_zone(text for text in texts if text is not None) else ""
    return f"{day}{'T' if 'T' in longest else ' '}%H:%M:%S{fraction}{zone}"


def parse_dates(texts: np.ndarray, date_format: str = "") -> np.ndarray:
    """Read texts as timestamps in UTC, datetime64[ns], NaT where one is none.

    Parameters
    ----------
    texts : object array of shape (text,)
        Stripped texts, and None where there is none.
    date_format : str
        As for ``strptime``; with or without a time of day, and with fractions of seconds or
        without. ISO 8601 is read always: its order of year, month and day is certain.
    """
    series = pd.Series(texts, dtype=object)
    iso = series.str.match(ISO_DATE).eq(True)
    # the pattern keeps bare numbers such as 201410 out
    dates = nanoseconds(
        pd.to_datetime(series.where(iso, None), format="ISO8601", utc=True, errors="coerce")
    )
    if "%b" in date_format or "%B" in date_format:
        series = series.str.replace(ORDINAL, r"\1", regex=True)
    for pattern in _variants(date_format):
        left = np.isnat(dates) & ~pd.isna(texts)
        if not left.any():
            break
        read = pd.to_datetime(series[left], format=pattern, utc=True, errors="coerce")
        dates = dates.copy()
        dates[left] = nanoseconds(read)
    return dates


def nanoseconds(timestamps: pd.Series) -> np.ndarray:
    """Naive UTC datetime64[ns]; timestamps outside its range (9999-12-31) move to its ends."""
    timestamps = pd.DatetimeIndex(timestamps).tz_convert("UTC").tz_localize(None)
    in_range = timestamps.unit == "ns"
    nanos = timestamps.asi8 if in_range else timestamps.as_unit("us").asi8
    size = 1 if in_range else 1000
    clipped = np.clip(nanos, FIRST // size, LAST // size) * size
    return np.where(timestamps.isna(), np.datetime64("NaT", "ns"), clipped.view("datetime64[ns]"))


def written_zone(texts: Iterable[str]) -> str:
    """Zone at the end of each of the texts as it is written, ``""`` where one has none.

    Where they have several, as in winter and summer, it is UTC in the spelling of the first.
    """
    found: dict[str, None] = {}
    for text in texts:
        zone = _zone_of(text.strip())
        if not zone:
            return ""
        found[zone] = None
    first = next(iter(found), "")
    if len(found) < 2:
        return first
    return "UTC" if first.isalpha() else f"+00{first[3:-2]}00"


def write_dates(dates: np.ndarray, date_format: str, zone: str = "") -> np.ndarray:
    """Write timestamps in UTC as texts, where the format asks for it in a zone.

    Parameters
    ----------
    dates : datetime64[ns] array of shape (row,)
        None of them missing.
    date_format : str
        As for ``strftime``.
    zone : str, default=""
        As from ``written_zone``: written for ``%z`` and ``%Z``.

    Examples
    --------
    >>> write_dates(np.array(["2026-01-31T12:00"], "M8[ns]"), "%d.%m.%Y %H:%M %z", "+0100")
    array(['31.01.2026 13:00 +0100'], dtype=object)
    """
    stamps = pd.DatetimeIndex(dates).tz_localize("UTC")
    if "%z" in date_format or "%Z" in date_format:
        stamps, zone = _moved(stamps, zone)
        date_format = date_format.replace("%z", zone or "+0000").replace("%Z", zone or "UTC")
    return stamps.strftime(date_format).to_numpy(dtype=object)


def _moved(stamps: pd.DatetimeIndex, zone: str) -> tuple[pd.DatetimeIndex, str]:
    """Timestamps on the clock of a zone, and its name; as they are where it is not known."""
    if zone[:1] in ("+", "-") and zone:
        minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        since = datetime.timedelta(minutes=minutes if zone[0] == "+" else -minutes)
        return stamps.tz_convert(datetime.timezone(since)), zone
    try:
        return stamps.tz_convert("UTC" if zone in ("", "Z") else zone), zone
    except (KeyError, ValueError):  # a name that only the reader of texts knows
        return stamps, ""


def _zone_of(text: str) -> str:
    found = re.fullmatch(ZONE, text)
    return found[1] if found else ""


def _variants(date_format: str) -> list[str]:
    """Return a format, also with and without fractions of seconds, and without a time of day."""
    if not date_format:
        return []
    whole = date_format.replace(".%f", "")
    without_clock = date_format.split("%H")[0].split("%I")[0].rstrip(" T,-")
    return list(dict.fromkeys([date_format, whole, whole.replace("%S", "%S.%f"), without_clock]))
