"""Whether the calendar and a covariate tell what is normal of an hourly load."""

import argparse
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.common.commands import add_params, add_processes, count
from benchmarks.common.methods import Params
from benchmarks.common.processes import gather
from benchmarks.common.results import write
from benchmarks.series.methods import timeseries

__all__ = ["FAULTS", "HOLIDAYS", "METHODS", "load_series", "main", "measure", "summary"]

START, TRAIN_DAYS, NEW_DAYS = "2024-07-01", 26 * 7, 10 * 7
NOISE, MEMORY = 1.2, 0.6  # of the load: mean standard deviation, and what a step keeps of it
# Public holidays of a part of Germany in the time of training, and in the weeks after it.
HOLIDAYS = [
    datetime.date.fromisoformat(day)
    for day in ("2024-10-03 2024-11-01 2024-12-25 2024-12-26 2025-01-01 2025-01-06").split()
]
WEEK: dict[str, Any] = {"calendar": ("hour", "weekday")}
METHODS: dict[str, dict[str, Any]] = {
    "load": {},
    "covariate": {"covariates": ["outdoor"]},
    "week": WEEK,
    "week+holidays": WEEK | {"holidays": HOLIDAYS},
    "all": WEEK | {"holidays": HOLIDAYS, "covariates": ["outdoor"]},
}
COLUMNS = ["method", "seed", "kind", "rate"]


class Fault(NamedTuple):
    """Hours of the new weeks whose load is that of other hours or of another temperature."""

    kind: str
    start: str
    hours: int
    like: str = ""  # moment that the load is as at
    colder: float = 0.0  # degrees


FAULTS = (
    Fault("busy night", "2025-01-14 00:00", 5, like="2025-01-14 11:00"),
    Fault("busy night", "2025-02-26 00:00", 5, like="2025-02-26 11:00"),
    Fault("busy Sunday", "2025-01-19 00:00", 24, like="2025-01-21 00:00"),
    Fault("busy Sunday", "2025-02-16 00:00", 24, like="2025-02-18 00:00"),
    Fault("idle weekday", "2025-01-22 00:00", 24, like="2025-01-26 00:00"),
    Fault("idle weekday", "2025-02-20 00:00", 24, like="2025-02-23 00:00"),
    Fault("busy holiday", "2025-01-01 00:00", 24, like="2025-01-08 00:00"),
    Fault("busy holiday", "2025-01-06 00:00", 24, like="2025-01-13 00:00"),
    Fault("heating too much", "2025-02-05 06:00", 14, colder=12),
    Fault("heating too much", "2025-03-05 06:00", 14, colder=12),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write and print the rates; the last line has their means by method."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.series.calendar", description=__doc__
    )
    parser.add_argument("--seeds", type=count, default=3, help="generated series")
    parser.add_argument("--out", type=Path, help="a CSV")
    add_processes(parser)
    add_params(parser)
    options = parser.parse_args(argv)
    rates = measure(options.seeds, options.processes, options.params)
    write(rates, options.out)
    print(rates.pivot_table("rate", "kind", "method", sort=False).round(3).to_string())
    print(summary(rates))


def measure(
    n_seeds: int, processes: int = 1, params: Params = None, methods: Sequence[str] = (*METHODS,)
) -> pd.DataFrame:
    """Share of alarms on normal weeks and on their holidays, and share of the faults found.

    A fault is found if one of its hours raises an alarm.
    """
    tasks = [(method, seed, dict(params or {})) for seed in range(n_seeds) for method in methods]
    return pd.DataFrame(gather(_rates, tasks, processes), columns=COLUMNS)


def summary(rates: pd.DataFrame) -> str:
    """Mean rates by method: alarms on normal hours, on holidays, and faults found."""
    parts = []
    for method, chosen in rates.groupby("method", sort=False):
        means = chosen.groupby("kind")["rate"].mean()
        found = means.drop(["alarms", "alarms on holidays"]).mean()
        parts.append(
            f"{method}: alarms {means['alarms']:.4f}, on holidays "
            f"{means['alarms on holidays']:.4f}, found {found:.2f}"
        )
    return f"calendar | {' | '.join(parts)} | series {rates['seed'].nunique()}"


def load_series(seed: int, faults: Sequence[Fault] = ()) -> pd.DataFrame:
    """Hourly load of a building and the outdoor temperature, with faults; 36 weeks."""
    rng = np.random.default_rng(seed)
    n = 24 * (TRAIN_DAYS + NEW_DAYS)
    times = pd.date_range(START, periods=n, freq="h")
    outdoor = _temperature(times, rng)
    felt, acting = outdoor.copy(), pd.Series(times, index=times)
    for fault in faults:
        hours = pd.date_range(fault.start, periods=fault.hours, freq="h")
        places = times.get_indexer(hours)
        felt[places] -= fault.colder
        if fault.like:
            # A night that is busy repeats one hour; a day repeats another day.
            acting[hours] = pd.date_range(
                fault.like, periods=fault.hours, freq="h" if fault.hours == 24 else "0h1min"
            )
    people, usual = _occupancy(pd.DatetimeIndex(acting)), _occupancy(times).mean()
    load = people + 1.5 * np.maximum(16 - felt, 0) + _noise(n, rng) * people / usual
    return pd.DataFrame({"load": load, "outdoor": outdoor}, index=times)


def _temperature(times: pd.DatetimeIndex, rng: np.random.Generator) -> np.ndarray:
    """Season, time of day, and weather that lasts some days."""
    hour = times.hour.to_numpy()
    year = (times.day_of_year.to_numpy() + hour / 24) / 365.25
    weather, spell = np.zeros(len(times)), rng.normal(0, 0.35, len(times))
    for step in range(1, len(times)):
        weather[step] = 0.99 * weather[step - 1] + spell[step]
    return (
        9
        - 9 * np.cos(2 * np.pi * (year - 0.05))
        + 4 * np.sin(2 * np.pi * (hour - 9) / 24)
        + weather
    )


def _occupancy(times: pd.DatetimeIndex) -> np.ndarray:
    """Load that people cause: less on Saturdays, Sundays and holidays."""
    hour = (times.hour + times.minute / 60).to_numpy()
    day = 1 / (1 + np.exp(-(hour - 7) * 2)) - 1 / (1 + np.exp(-(hour - 18) * 1.2))
    closed = (times.day_of_week == 6) | times.floor("D").isin(pd.DatetimeIndex(HOLIDAYS))
    share = np.where(closed, 0.15, np.where(times.day_of_week == 5, 0.5, 1.0))
    return 30 + 25 * share * day


def _noise(n: int, rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(0, NOISE, n)
    for step in range(1, n):
        noise[step] = MEMORY * noise[step - 1] + (1 - MEMORY**2) ** 0.5 * noise[step]
    return noise


def _rates(task: tuple) -> list[tuple]:
    method, seed, params = task
    columns = ["load", "outdoor"] if "covariates" in METHODS[method] else ["load"]
    normal, faulty = load_series(seed)[columns], load_series(seed, FAULTS)[columns]
    n_train = 24 * TRAIN_DAYS
    detector = timeseries(seed, METHODS[method] | params).fit(normal[:n_train])
    flags = detector.score_frame(normal[n_train:])["is_anomaly"]
    closed = flags.index.floor("D").isin(pd.DatetimeIndex(HOLIDAYS))
    rows = [(method, seed, "alarms", flags.mean())]
    rows.append((method, seed, "alarms on holidays", flags[closed].mean()))
    alarms = detector.score_frame(faulty[n_train:])["is_anomaly"]
    for fault in FAULTS:
        hours = pd.date_range(fault.start, periods=fault.hours, freq="h")
        rows.append((method, seed, fault.kind, float(alarms[hours].any())))
    return rows


if __name__ == "__main__":
    main()
