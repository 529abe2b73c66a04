"""Dates as people write them; which number is the day and which the month, a column decides."""

import datetime
import re
import warnings
from collections.abc import Iterable
from itertools import product

import numpy as np
import pandas as pd
from pandas.tseries.api import guess_datetime_format

__all__ = [
    "infer_date_format",
    "iso_format",
    "nanoseconds",
    "parse_dates",
    "write_dates",
    "written_zone",
]

ISO_DATE = r"\d{4}([-/])\d{1,2}\1\d{1,2}(?:[T ].*)?$"
# Whole years that nanoseconds hold; 9999-12-31 and the like move to their ends.
FIRST, LAST = (pd.Timestamp(year, 1, 1).value for year in (1678, 2262))
# Texts of which formats are guessed, and on which these are judged, before the best on all.
GUESSED_FROM, JUDGED_ON, N_BEST = 100, 2000, 3
# Guesses that are no date by themselves: bare digits, and the day before the month of ISO.
UNUSUAL = ("%Y%m", "%Y-%d", "%Y/%d")
# A zone behind a clock: an offset from UTC, or a name in capitals.
ZONE = r".*\d:\d\d\S*? ?([+-]\d\d:?\d\d|Z|[A-Z]{3,5})"
PERHAPS_DATE = r"(?=.*\d.*\d)[\w ,.:/+-]{6,40}"
# What is not guessed: years of two digits, and clocks of twelve hours.
SHORT_YEAR = r"(?:\d\d?(/)\d\d?/|\d\d([.-])\d\d\2|\d\d?([ ./-])[A-Za-z]{3}\3)\d\d(?: +\d.*)?"
TWELVE_HOURS = r"\d\d?([./-])\d\d?\1\d{4} +\d\d?:\d\d.* ?[AaPp]\.?[Mm]\.?"
ORDERS = ("%d{0}%m{0}", "%m{0}%d{0}", "%d{0}%b{0}")
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")


def infer_date_format(texts: np.ndarray, counts: np.ndarray) -> str:
    """Format by which most cells are dates; ``""`` if none reads any.

    Where day and month can change places, dates are taken to be written in their order: the
    reading wins by which fewer of them step back. If that says nothing either, the month is
    first where dates have slashes, as in the United States, and the day is elsewhere.

    Parameters
    ----------
    texts : object array of shape (text,)
        Distinct texts in the order of their first appearance, none of them missing.
    counts : int array of shape (text,)
        How many cells have each.

    Examples
    --------
    >>> infer_date_format(np.array(["03/04/2024", "13/04/2024"], dtype=object), np.ones(2, int))
    '%d/%m/%Y'
    """
    some = _evenly(len(texts), JUDGED_ON)
    judged = [
        (*_fit(texts[some], counts[some], pattern), place, pattern)
        for place, pattern in enumerate(_candidates(texts))
    ]
    best = [pattern for cells, *_, pattern in sorted(judged) if cells][:N_BEST]
    if len(best) > 1 and len(some) < len(texts):
        final = [(*_fit(texts, counts, each), place, each) for place, each in enumerate(best)]
        return min(final)[-1]
    return best[0] if best else ""


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


def _fit(texts: np.ndarray, counts: np.ndarray, pattern: str) -> tuple[int, float]:
    """Minus the cells that a format reads, and the share of dates that step back."""
    dates = parse_dates(texts, pattern)
    present = ~np.isnat(dates)
    steps = np.diff(dates[present].view(np.int64))
    return -int(counts[present].sum()), round(float((steps < 0).mean()), 1) if len(steps) else 0.0


def _evenly(n: int, most: int) -> np.ndarray:
    """At most so many of ``n`` places, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, most).astype(int)) if n else np.arange(0)


def _candidates(texts: np.ndarray) -> list[str]:
    """Formats that some of the texts may have, the likelier first."""
    some = pd.Series(texts[_evenly(len(texts), GUESSED_FROM)], dtype=object)
    some = some[some.str.fullmatch(PERHAPS_DATE).eq(True)]
    found: dict[str, None] = {}
    for text in some:
        day_first = "/" not in text
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the order is not the one asked for
            for order in (day_first, not day_first):
                guess = guess_datetime_format(text, dayfirst=order)
                if guess and not guess.startswith(UNUSUAL):
                    found[guess] = None
    for pattern, year in ((SHORT_YEAR, "%y"), (TWELVE_HOURS, "%Y")):
        texts_of_kind = some[some.str.fullmatch(pattern).eq(True)]
        for mark in sorted(set(texts_of_kind.str.extract(r"([ ./-])")[0])):
            orders = sorted(ORDERS, key=lambda order: order.startswith("%d") == (mark == "/"))
            days = [order.format(mark) + year for order in orders]
            found |= dict.fromkeys(day + clock for day, clock in product(days, CLOCKS))
    return list(found)


def _variants(date_format: str) -> list[str]:
    """Return a format, also with and without fractions of seconds, and without a time of day."""
    if not date_format:
        return []
    whole = date_format.replace(".%f", "")
    without_clock = date_format.split("%H")[0].split("%I")[0].rstrip(" T,")
    return list(dict.fromkeys([date_format, whole, whole.replace("%S", "%S.%f"), without_clock]))
