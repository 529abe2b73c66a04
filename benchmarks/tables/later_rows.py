"""Alarms among later normal rows of tables with an order: `python -m benchmarks.tables.later_rows`.

One table per kind of column that advances with the rows, and three year-long tables that drift
slowly. The first part trains, the later rows are scored; among them are planted anomalies in the
columns that do not advance.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from anomdiff import TabularDetector

__all__ = ["ADVANCING", "DRIFTING", "planted", "stationary"]

N_ROWS, N_TRAIN, N_PLANTED = 6_000, 4_000, 20
START = pd.Timestamp("2025-01-01")


def stationary(n=N_ROWS, seed=0):
    """Rows that do not depend on time: three numbers that go together, and a category."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    amount = np.exp(0.5 * x + 0.2 * rng.normal(size=n))
    frame = {"x": x, "amount": amount, "y": x - 0.5 * np.log(amount) + 0.3 * rng.normal(size=n)}
    return pd.DataFrame({**frame, "kind": rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])})


def planted(frame, seed=0):
    """Copies of rows in which two numbers that go together contradict each other."""
    rows = frame.sample(N_PLANTED, random_state=seed).copy()
    numbers = [name for name in ("x", "amount", "y") if name in rows]
    spread = frame[numbers].std()
    rows[numbers[0]] = frame[numbers[0]].median() + 4 * spread.iloc[0]
    rows[numbers[-1]] = frame[numbers[-1]].median() - 4 * spread.iloc[-1]
    return rows


def _stamps(frame, step):
    return START + pd.to_timedelta(np.arange(len(frame)) * step, unit="s")


def _growing(frame, seed=1):
    return np.random.default_rng(seed).exponential(3.0, len(frame)).cumsum()


def _rare(frame, seed=2):
    return np.random.default_rng(seed).random(len(frame)) < 0.01


ADVANCING = {
    "row number": lambda f: np.arange(len(f)) + 10_000,
    "order number with gaps": lambda f: _growing(f).round().astype(int) + 5_000_000,
    "falling counter": lambda f: 1_000_000 - np.arange(len(f)) * 7,
    "meter reading": lambda f: _growing(f).round(1) + 812_345.6,
    "epoch seconds": lambda f: _stamps(f, 600).as_unit("s").asi8,
    "date as a number": lambda f: _stamps(f, 7200).strftime("%Y%m%d").astype(int),
    "timestamp": lambda f: _stamps(f, 600),
    "date dd/mm/yyyy": lambda f: _stamps(f, 7200).strftime("%d/%m/%Y"),
    "date mm/dd/yyyy": lambda f: _stamps(f, 7200).strftime("%m/%d/%Y"),
    "date dd.mm.yy HH:MM": lambda f: _stamps(f, 600).strftime("%d.%m.%y %H:%M"),
    "date 31-Jan-2025": lambda f: _stamps(f, 7200).strftime("%d-%b-%Y"),
    "month as text": lambda f: _stamps(f, 7200).strftime("%Y-%m"),
    "invoice number": lambda f: [f"INV-{i:06d}" for i in range(len(f))],
    "session id, 20 rows each": lambda f: [f"s{i // 20:x}" for i in range(len(f))],
    "customer number, 5 rows each": lambda f: np.arange(len(f)) // 5 + 700,
    "batch number, 40 rows each": lambda f: np.arange(len(f)) // 40 + 1000,
    "month as a number": lambda f: _stamps(f, 14400).strftime("%Y%m").astype(int),
    "week as a number": lambda f: _stamps(f, 7200).strftime("%G%V").astype(int),
    "quarter as a number": lambda f: [10 * d.year + d.quarter for d in _stamps(f, 28800)],
    "lot, 45 rows each": lambda f: [f"LOT-{i // 45}" for i in range(len(f))],
    "version of a program": lambda f: [f"1.{i // 400}.{i // 40 % 10}" for i in range(len(f))],
    "counter of rare events": lambda f: 500 + _rare(f).cumsum(),
}


def _year(seed, n=12_000):
    rng = np.random.default_rng(seed)
    return rng, np.linspace(0, 1, n), pd.date_range(START, periods=n, freq="44min")


def drifting_means(seed=0):
    """Each number moves by one standard deviation in the year."""
    rng, t, when = _year(seed)
    x = rng.normal(size=len(t))
    numbers = {
        "x": x + t,
        "amount": np.exp(0.4 * x + t * 0.4),
        "y": x + 0.3 * rng.normal(size=len(t)) - t,
    }
    return pd.DataFrame({"when": when, **numbers})


def drifting_prices(seed=0):
    """Prices rise by a tenth, one category grows at the expense of another."""
    rng, t, when = _year(seed)
    kind = np.where(rng.random(len(t)) < 0.2 + 0.3 * t, "online", "shop")
    price = rng.lognormal(3, 0.5, len(t)) * (1 + 0.1 * t)
    y = np.log(price) + 0.2 * rng.normal(size=len(t))
    return pd.DataFrame(
        {"order": np.arange(len(t)), "kind": kind, "x": price, "y": y, "when": when}
    )


def wearing_sensor(seed=0):
    """A sensor loses its zero, slowly and with noise; there is no time but the order of rows."""
    rng, t, _ = _year(seed)
    day = np.sin(np.arange(len(t)) * 2 * np.pi * 44 / 1440)
    x = 20 + 5 * day + rng.normal(size=len(t))
    return pd.DataFrame(
        {
            "x": x,
            "amount": 0.5 * x + 2 * t + rng.normal(0, 0.4, len(t)),
            "y": 100 - x + rng.normal(0, 0.5, len(t)),
        }
    )


DRIFTING = {
    "drifting means": drifting_means,
    "drifting prices": drifting_prices,
    "wearing sensor": wearing_sensor,
}


def _rates(frame, n_train, options, seed):
    """Alarm rate among the later rows, and share of planted anomalies found."""
    later = frame[n_train:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = TabularDetector(
            alpha=options.alpha, max_iter=options.max_iter, random_state=seed, progress=False
        ).fit(frame[:n_train])
        flagged = detector.score_frame(pd.concat([later, planted(later)]))["is_anomaly"]
    return flagged[: len(later)].mean(), flagged[len(later) :].mean()


def _tables(seed):
    for name, column in ADVANCING.items():
        frame = stationary(seed=seed)
        yield name, frame.assign(when=column(frame)), N_TRAIN
    for name, table in DRIFTING.items():
        frame = table(seed)
        yield name, frame, int(0.75 * len(frame))


def main():
    """Print one line per table and a last one with the largest alarm rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alpha", type=float, default=0.01)
    parser.add_argument("--max-iter", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", help="tables whose names hold this")
    parser.add_argument("--out", type=Path, required=True, help="results, a CSV")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in range(options.seeds):
        for name, frame, n_train in _tables(seed):
            if options.only and options.only not in name:
                continue
            alarms, found = _rates(frame, n_train, options, seed)
            rows.append({"table": name, "seed": seed, "alarm_rate": alarms, "found": found})
            print(
                f"{name:30} seed {seed} alarm rate {alarms:.4f} planted found {found:.2f}",
                flush=True,
            )
    results = pd.DataFrame(rows)
    results.to_csv(options.out, index=False)
    mean = results.groupby("table")[["alarm_rate", "found"]].mean()
    print(
        f"tables {len(mean)} seeds {options.seeds} | alarm rate at alpha {options.alpha}: mean "
        f"{mean['alarm_rate'].mean():.4f} largest {mean['alarm_rate'].max():.4f} "
        f"({mean['alarm_rate'].idxmax()}) | planted found: least {mean['found'].min():.2f}"
    )


if __name__ == "__main__":
    main()
