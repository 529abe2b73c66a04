"""Monitor, retrain, update and warm start on loans of four quarters, the later of which drift.

`python -m benchmarks.systems.drift --data DIR --seeds 3 --out drift.csv`. The same
loans come in every quarter, changed a little; so each loan has a part in one quarter only. A
champion learns normal loans of the first one. Weeks without drift are bootstrap samples of other
normal loans of that quarter, every second one with 2 % defaults. In each later quarter, `monitor`
sees a batch with 2 % defaults, `retrain` learns from it and promotes, and loans that no model has
seen show the alarm rate before and after; the defaults of the quarter, of which none was learned,
give the AUROC. Update and warm start begin with the first champion. Nothing is chosen by the later
quarters.
"""

import argparse
import copy
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from anomdiff import TabularDetector
from anomdiff.metrics.detection import auroc
from anomdiff.monitoring.drift import DriftLimits, profile
from benchmarks.common.commands import add_params, count
from benchmarks.common.results import write
from benchmarks.tables.reading import find_sets

__all__ = ["Quarters", "line", "main", "measure", "measure_all"]

QUARTERS = tuple(f"hmeqpr_{number}_{number}q" for number in range(1, 5))
# Share of the normal loans that belongs to each quarter; the others show alarm rates.
OF_A_QUARTER = 0.21
WEEK_ROWS, PLANTED = 500, 0.02
NAME = "loans"
COLUMNS = ["seed", "quarter", "method", "measure", "value"]


class Quarters(NamedTuple):
    """Loans of each quarter, row by row the same ones; which default; their numbers by part."""

    frames: list[pd.DataFrame]
    defaulted: np.ndarray
    parts: list[np.ndarray]

    @classmethod
    def read(cls, folder: Path, seed: int) -> "Quarters":
        """Read all quarters and draw the parts of the normal loans."""
        sets = {each.name: each for each in find_sets("mixed", folder, QUARTERS)}
        tables = [sets[name].read() for name in QUARTERS]
        defaulted = tables[0].anomalous
        normal = np.random.default_rng(seed).permutation(np.flatnonzero(~defaulted))
        shares = OF_A_QUARTER * np.arange(1, len(QUARTERS) + 1)
        parts = np.split(normal, (shares * len(normal)).astype(int))
        return cls([table.rows for table in tables], defaulted, parts)

    def recent(self, quarter: int, seed: int) -> pd.DataFrame:
        """Recent loans of a quarter, 2 % of them defaults; nothing says which."""
        normal = self.parts[quarter]
        odd = _planted(np.flatnonzero(self.defaulted), len(normal), np.random.default_rng(seed))
        return self.frames[quarter].iloc[np.concatenate([normal, odd])]

    def later(self, quarter: int) -> tuple[pd.DataFrame, np.ndarray]:
        """Loans of a quarter that no model has seen, and all defaults; which these are."""
        odd = np.flatnonzero(self.defaulted)
        rows = np.concatenate([self.parts[-1], odd])
        return self.frames[quarter].iloc[rows], self.defaulted[rows]


def main() -> None:
    """Measure all seeds and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that has `mixed`")
    parser.add_argument("--seeds", type=count, default=1)
    parser.add_argument("--weeks", type=count, default=200, help="without drift, for each seed")
    parser.add_argument("--out", type=Path, help="figures, as CSV")
    add_params(parser)
    options = parser.parse_args()
    table = measure_all(options.data, options.seeds, options.weeks, options.params, options.out)
    means = table.pivot_table("value", ["measure", "quarter"], "method", sort=False)
    print(means.round(3).to_string(na_rep=""))
    print(line(table))


def measure_all(
    folder: Path, n_seeds: int, n_weeks: int, params: Mapping[str, Any], out: Path | None
) -> pd.DataFrame:
    """Figures of all seeds, as from ``measure``, written anew after each one."""
    found = []
    for seed in range(n_seeds):
        found += measure(folder, seed, n_weeks, params)
        table = pd.DataFrame(found, columns=COLUMNS)
        write(table, out)
    return table


def measure(
    folder: Path, seed: int, n_weeks: int, params: Mapping[str, Any]
) -> list[tuple[int, int, str, str, float]]:
    """Figures of one seed: quarter, method, measure and value."""
    quarters = Quarters.read(folder, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = TabularDetector(**{"random_state": seed, "progress": False, **params})
        training = quarters.frames[0].iloc[quarters.parts[0]]
        first.fit(training)
        rows = list(_monitored(quarters, first, training, n_weeks, seed))
        rows += _refreshed(quarters, first, seed)
        rows += _lives(quarters, training, first.get_params(), seed)
    return [(seed, quarter + 1, *rest) for quarter, *rest in rows]


def line(table: pd.DataFrame) -> str:
    """One line on all seeds."""
    values = table.groupby(["method", "measure"])["value"]
    mean, found = values.mean(), table.loc[table["measure"] == "drifted", "value"]
    share = mean["monitor", "false alarms"]
    before, after = mean["before", "alarm rate"], mean["retrained", "alarm rate"]
    told = [f"drift | found {int(found.sum())}/{len(found)} false alarms {share:.3f}"]
    told.append(f"alarm rate before {before:.3f} after {after:.3f}")
    for method in ("update", "warm", "full"):
        area, rate = mean[method, "auroc"], mean[method, "alarm rate"]
        seconds = mean[method, "cpu seconds"] / mean["full", "cpu seconds"]
        told.append(f"{method} AUROC {area:.3f} alarm rate {rate:.3f} CPU {seconds:.2f}")
    return " | ".join(told)


def _monitored(
    quarters: Quarters, detector: TabularDetector, training: pd.DataFrame, n_weeks: int, seed: int
) -> Iterator[tuple[int, str, str, float]]:
    """Share of weeks without drift that `monitor` calls drift, and whether later quarters are."""
    from anomdiff.integrations.mlflow.runs import plain_rows
    from anomdiff.jobs.monitor import findings

    frame, rng = quarters.frames[0], np.random.default_rng(seed)
    scored = detector.score_frame(frame)
    reference = profile(plain_rows(detector, training))
    normal, odd = np.concatenate(quarters.parts[1:]), np.flatnonzero(quarters.defaulted)
    drifted = []
    for week in range(n_weeks):
        rows = rng.choice(normal, WEEK_ROWS)
        if week % 2:
            rows = np.concatenate([rows, _planted(odd, WEEK_ROWS, rng)])
        batch = frame.iloc[rows], scored.iloc[rows]
        drifted.append(findings(detector, reference, *batch, DriftLimits())["drifted"])
    yield 0, "monitor", "false alarms", float(np.mean(drifted))
    yield 0, "monitor", "false alarms, 2 % anomalies", float(np.mean(drifted[1::2]))
    yield 0, "monitor", "level", DriftLimits().level
    for quarter in range(1, len(QUARTERS)):
        recent = quarters.recent(quarter, seed)
        batch = recent, detector.score_frame(recent)
        found = findings(detector, reference, *batch, DriftLimits())
        yield quarter, "monitor", "drifted", float(found["drifted"])


def _planted(odd: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Anomalies to add to so many rows."""
    return rng.choice(odd, round(PLANTED / (1 - PLANTED) * n), replace=False)


def _refreshed(
    quarters: Quarters, first: TabularDetector, seed: int
) -> Iterator[tuple[int, str, str, float]]:
    """Update, warm start and full fit on the normal recent loans of each later quarter."""
    methods: dict[str, Callable[[pd.DataFrame], TabularDetector]] = {
        "before": lambda rows: first,
        "update": lambda rows: copy.deepcopy(first).update(rows),
        "warm": lambda rows: copy.deepcopy(first).set_params(warm_start=True).fit(rows),
        "full": lambda rows: TabularDetector(**first.get_params()).fit(rows),
    }
    for quarter in range(1, len(QUARTERS)):
        rows = quarters.frames[quarter].iloc[quarters.parts[quarter]]
        test, odd = quarters.later(quarter)
        for name, refresh in methods.items():
            start = time.process_time()
            detector = refresh(rows)
            seconds = time.process_time() - start
            scored = detector.score_frame(test)
            yield quarter, name, "auroc", auroc(odd, scored["anomaly_score"])
            yield quarter, name, "alarm rate", float(scored["is_anomaly"][~odd].mean())
            if name != "before":
                yield quarter, name, "cpu seconds", seconds


def _lives(
    quarters: Quarters, training: pd.DataFrame, params: Mapping[str, Any], seed: int
) -> list[tuple[int, str, str, float]]:
    """Champions over the quarters, by the jobs: monitored, retrained and promoted."""
    import mlflow

    from anomdiff.jobs.settings import TrainSettings
    from anomdiff.jobs.train import train

    found, here = [], Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)  # nothing of a run is left behind
        mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        try:
            path = folder / "first.parquet"
            training.to_parquet(path, index=False)
            own = {"registered_name": NAME, "detector": _changed(params)}
            train(TrainSettings(data=path, **own))
            for quarter in range(1, len(QUARTERS)):
                found += _quarter(quarters, quarter, folder, own, seed)
        finally:
            mlflow.set_tracking_uri(None)
            os.chdir(here)
    return found


def _quarter(
    quarters: Quarters, quarter: int, folder: Path, own: Mapping[str, Any], seed: int
) -> Iterator[tuple[int, str, str, float]]:
    """One quarter of a champion."""
    from anomdiff.integrations.mlflow import flavor
    from anomdiff.jobs.monitor import monitor
    from anomdiff.jobs.retrain import retrain
    from anomdiff.jobs.retrain_settings import RetrainSettings
    from anomdiff.jobs.settings import MonitorSettings

    champion, (test, odd) = f"models:/{NAME}@champion", quarters.later(quarter)
    path, output = folder / f"{quarter}.parquet", folder / f"{quarter}.json"
    quarters.recent(quarter, seed).to_parquet(path, index=False)

    def alarm_rate() -> float:
        scored = flavor.load_model(champion).score_frame(test)
        return float(scored["is_anomaly"][~odd].mean())

    report = monitor(MonitorSettings(data=path, model=champion, output=output))
    yield quarter, "champion", "drifted since", float(report["drifted"])
    yield quarter, "champion", "alarm rate", alarm_rate()
    done = retrain(RetrainSettings(data=path, report=output, promote=True, **own))
    outcome = done.outcome
    promoted = outcome is not None and outcome.verdict is not None and outcome.verdict.promote
    yield quarter, "retrained", "promoted", float(promoted)
    yield quarter, "retrained", "alarm rate", alarm_rate()


def _changed(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that differ from their defaults."""
    defaults = TabularDetector().get_params()
    return {name: value for name, value in params.items() if value != defaults[name]}


if __name__ == "__main__":
    main()
