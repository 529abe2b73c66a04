"""The codec of timestamps: the place in the training span, the hour and the weekday."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from anomdiff.encoding.codecs import Codec

__all__ = ["DAY", "DatetimeCodec", "repeated_cycles", "tell_weekdays"]

MIN_CYCLE_STD = 0.2
# Digits of coords beyond this pick one of many days.
FINE = 1e5
# Differences of timestamps that 64 bits hold, also after rounding as floats.
LARGEST = 2**63 - 2**11
DAY = 86_400_000_000_000
WEEK = 7 * DAY
# Of dates further apart, such as the first of each month, the weekday is chance.
CLOSE_DAYS = 3
# A time of day or a weekday of dates that advance is used if they span so many of its cycles.
MIN_CYCLES = 2
RESOLUTIONS = (DAY, DAY // 24, DAY // 1440, 10**9, 10**6, 10**3, 1)


@dataclass(frozen=True)
class DatetimeCodec(Codec):
    """A timestamp as its place in the training span, on the clock and in the week.

    Timestamps that advance with the rows have no place in the span: later rows lie beyond it. The
    place of others is at most that of the last one. A day is a cycle if training has times of
    day, a week if it spans two and weekdays mean something. Which cycles timestamps have that
    advance is told by the caller, who knows all rows: they have nothing else.
    """

    low: int  # first and last training timestamp, in nanoseconds since 1970, as their mean
    high: int
    mean: int
    std: float  # 0 when all timestamps are equal
    resolution: int  # coarsest unit that all training timestamps are multiples of
    periods: tuple[int, ...] = ()  # the cycles in use, in nanoseconds
    cycle_mean: tuple[float, ...] = ()  # of sine and cosine of each cycle
    cycle_std: tuple[float, ...] = ()  # floored
    trend: bool = True  # whether the place in the span is a coord

    @classmethod
    def fit(cls, cells: np.ndarray, *, cycles: tuple[int, ...] = ()) -> Self:
        """Learn span and resolution, and the cycles where none are given.

        Parameters
        ----------
        cells : datetime64 array of shape (row,)
            None of them missing.
        cycles : tuple of int, default=()
            As from ``repeated_cycles`` for timestamps that advance; empty for others.
        """
        timestamps = cells.astype("datetime64[ns]").view(np.int64)
        if len(timestamps) == 0:
            return cls(0, 0, 0, 0.0, DAY)
        low, high = int(timestamps.min()), int(timestamps.max())
        mean = low + int((timestamps.astype(float) - low).mean())
        std = float((timestamps.astype(float) - mean).std())
        resolution = next(unit for unit in RESOLUTIONS if not (timestamps % unit).any())
        weeks = high - low >= MIN_CYCLES * WEEK and tell_weekdays(timestamps)
        in_use = {DAY: resolution < DAY, WEEK: weeks}
        periods = cycles or tuple(period for period, used in in_use.items() if used)
        waves = _waves(timestamps, periods)
        cycle_std = np.maximum(waves.std(axis=0), MIN_CYCLE_STD)
        scale = tuple(waves.mean(axis=0).tolist()), tuple(cycle_std.tolist())
        return cls(low, high, mean, std, resolution, periods, *scale, trend=not cycles)

    def labels(self, name: Any) -> list[str]:
        """Name the trend, if it counts, and sine and cosine of each cycle."""
        words = ["hour" if period == DAY else "weekday" for period in self.periods]
        waves = [f"{name} {word} {wave}" for word in words for wave in ("sin", "cos")]
        return [f"{name} trend", *waves] if self.trend else waves

    def encode(self, cells: np.ndarray) -> np.ndarray:
        """Return trend and cycles of shape (row, trend + 2 * cycle)."""
        timestamps = cells.astype("datetime64[ns]").view(np.int64)
        trend = (np.clip(timestamps, *self._ends) - self.mean) / (self.std or 1.0)
        waves = _waves(timestamps, self.periods)
        if self.periods:
            waves = (waves - self.cycle_mean) / self.cycle_std
        return np.column_stack([trend, waves]) if self.trend else waves

    def decode(self, block: np.ndarray) -> np.ndarray:
        """Return the timestamps of the trend coord, in the resolution of the training rows.

        Without one they have the hour and the weekday, of some week in training.
        """
        if not self.trend:
            return self._of_some_week(block)
        low, high = self._ends
        timestamps = self.mean + np.clip(
            np.round(block[:, 0] * self.std), low - self.mean, high - self.mean
        ).astype(np.int64)
        half = self.resolution // 2
        return ((timestamps + half) // self.resolution * self.resolution).view("datetime64[ns]")

    @property
    def _ends(self) -> tuple[int, int]:
        """First and last timestamp, less far from the mean than 64 bits can hold."""
        return max(self.low, self.mean - LARGEST), min(self.high, self.mean + LARGEST)

    def _of_some_week(self, block: np.ndarray) -> np.ndarray:
        """Return timestamps of training at the hour and the weekday of the cycles.

        The day or week is picked by the last digits of the coords: nothing else tells it.
        """
        waves = block * self.cycle_std + self.cycle_mean
        start, since = self.high // DAY * DAY, np.zeros(len(block), dtype=np.int64)
        for i, period in enumerate(self.periods):
            angle = np.arctan2(waves[:, 2 * i], waves[:, 2 * i + 1]) % (2 * np.pi)
            unit = self.resolution if period == DAY else DAY
            steps = period // unit
            phase = np.round(angle / (2 * np.pi) * steps).astype(np.int64) % steps * unit
            if period == WEEK:
                phase = (phase - (start + 3 * DAY) % WEEK) % WEEK
            since += phase
        span = self.periods[-1]
        stamps = start + since
        stamps = stamps - (stamps > self.high) * span
        low = max(self.low, start - LARGEST + 2 * WEEK)
        turns = np.maximum((stamps - low) // span + 1, 1)
        digits = np.abs(block).sum(axis=1) * FINE % 1.0
        return (stamps - (digits * turns).astype(np.int64) * span).view("datetime64[ns]")


def repeated_cycles(timestamps: np.ndarray) -> tuple[int, ...]:
    """Lengths of a day and a week, of those that timestamps in nanoseconds span at least twice.

    A day counts where there are times of day, a week where weekdays mean something.
    """
    span = np.ptp(timestamps)
    days = span >= MIN_CYCLES * DAY and (timestamps % DAY).any()
    weeks = span >= MIN_CYCLES * WEEK and tell_weekdays(timestamps)
    return tuple(cycle for cycle, used in ((DAY, days), (WEEK, weeks)) if used)


def tell_weekdays(timestamps: np.ndarray) -> bool:
    """Whether weekdays mean something: days, in nanoseconds, lie close together or weeks apart."""
    gaps = np.diff(np.unique(timestamps // DAY))
    return bool(len(gaps)) and bool(np.median(gaps) <= CLOSE_DAYS or not (gaps % 7).any())


def _waves(timestamps: np.ndarray, periods: tuple[int, ...]) -> np.ndarray:
    """Sine and cosine of the hour in the day and of the day in the week."""
    waves = np.empty((len(timestamps), 2 * len(periods)))
    for i, period in enumerate(periods):
        # 1970 began on a Thursday; whole days only, the hour has its own cycle
        since = timestamps if period == DAY else (timestamps // DAY + 3) * DAY
        angle = 2 * np.pi * (since % period) / period
        waves[:, 2 * i], waves[:, 2 * i + 1] = np.sin(angle), np.cos(angle)
    return waves
