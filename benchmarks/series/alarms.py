"""How many alarms new normal steps raise, by the length of the training period."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common.commands import add_params, add_processes, count
from benchmarks.common.methods import Params
from benchmarks.common.processes import gather, timed
from benchmarks.common.results import write
from benchmarks.series.faults import machine
from benchmarks.series.generated import SHAPES
from benchmarks.series.methods import timeseries

__all__ = ["machine_rate", "main", "measure", "summary"]

LENGTHS = 500, 1_000, 2_000, 4_000
ALPHAS = 0.05, 0.01
N_NEW = 4_000
MACHINE_STEPS = 1_000
COLUMNS = ["shape", "n_train", "seed", "alpha", "rate"]


def heavy_tailed(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Independent values of Student's t with three degrees of freedom."""
    return rng.standard_t(3, n_rows)


STATIONARY = {name: SHAPES[name] for name in ("seasonal", "autoregressive")}
STATIONARY["heavy-tailed"] = heavy_tailed


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write and print the rates; the last line has their means by length."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.series.alarms", description=__doc__)
    parser.add_argument("--seeds", type=count, default=5, help="series per shape and length")
    parser.add_argument(
        "--machines", type=count, help="a panel of so many healthy machines instead"
    )
    parser.add_argument("--out", type=Path, help="a CSV")
    add_processes(parser)
    add_params(parser)
    options = parser.parse_args(argv)
    if options.machines:
        rate, seconds = machine_rate(options.machines, 0, options.params)
        print(f"alarms | {options.machines} healthy machines: {rate:.4f} at 0.01 | {seconds:.0f} s")
        return
    rates = measure(options.seeds, options.processes, options.params)
    write(rates, options.out)
    print(rates.pivot_table("rate", ["shape", "n_train"], "alpha").round(4).to_string())
    print(summary(rates))


def measure(
    n_seeds: int,
    processes: int = 1,
    params: Params = None,
    lengths: Sequence[int] = LENGTHS,
    n_new: int = N_NEW,
) -> pd.DataFrame:
    """Fit to the beginning of stationary series, and score so many new steps.

    The column ``rate`` is the share of alarms among the new steps.
    """
    tasks = [
        (shape, n_train, seed, n_new, dict(params or {}))
        for shape in STATIONARY
        for n_train in lengths
        for seed in range(n_seeds)
    ]
    rows = gather(_rates, tasks, processes)
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(COLUMNS, ignore_index=True)


def machine_rate(n_machines: int, seed: int, params: Params = None) -> tuple[float, float]:
    """Share of alarms of a panel of machines, with 1,000 steps each to learn from, and seconds."""
    rng = np.random.default_rng(seed)
    machines = [machine(MACHINE_STEPS * 2, rng) * rng.uniform(0.5, 20) for _ in range(n_machines)]

    def panel(part: slice) -> pd.DataFrame:
        frames = [pd.DataFrame(each[part]).assign(machine=i) for i, each in enumerate(machines)]
        return pd.concat(frames, ignore_index=True)

    detector = timeseries(seed, {"series": "machine", **(params or {})})

    def rate() -> float:
        detector.fit(panel(slice(MACHINE_STEPS)))
        return float(detector.score_frame(panel(slice(MACHINE_STEPS, None)))["is_anomaly"].mean())

    return timed(rate)


def summary(rates: pd.DataFrame) -> str:
    """Mean rates by length, over all shapes."""
    parts = []
    for n_train, chosen in rates.groupby("n_train"):
        means = chosen.groupby("alpha")["rate"].mean()
        shown = ", ".join(f"{rate:.4f} at {alpha:g}" for alpha, rate in means.items())
        parts.append(f"{n_train} steps: {shown}")
    return f"alarms | {' | '.join(parts)} | series {len(rates) // rates['alpha'].nunique()}"


def _rates(task: tuple) -> list[tuple]:
    shape, n_train, seed, n_new, params = task
    values = STATIONARY[shape](n_train + n_new, np.random.default_rng(seed))[:, None]
    detector = timeseries(seed, params).fit(values[:n_train])
    new = values[n_train:]
    flags = [detector.set_alpha(alpha).score_frame(new)["is_anomaly"] for alpha in ALPHAS]
    pairs = zip(ALPHAS, flags, strict=True)
    return [(shape, n_train, seed, alpha, float(each.mean())) for alpha, each in pairs]


if __name__ == "__main__":
    main()
