"""A table of several countries, with and without `by`: `python -m benchmarks.tables.segments`.

Payments of four frequent countries and eight rare ones, which differ in amounts, fees, spread and
channels. An anomaly is a row of one country with a fee, an amount or a channel as they are normal
in another one, or a fee off by a tenth. Both detectors see the column of the country.
"""

import argparse
from typing import Any

import numpy as np
import pandas as pd

from anomdiff import SegmentedDetector, TabularDetector
from anomdiff.metrics.detection import average_precision

__all__ = ["compare", "main", "payments_of_countries"]

FREQUENT = {"de": 0.34, "fr": 0.26, "it": 0.2, "no": 0.12}
RARE = {f"r{i}": 0.01 for i in range(8)}
SHARES = {**FREQUENT, **RARE}
CHANNELS = ["card", "web", "cash", "wire"]
ANOMALIES = 0.03


def main() -> None:
    """Print a line per detector: mean over seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000, help="training rows, and rows to score")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-iter", type=int, default=500)
    options = parser.parse_args()
    parts = [compare(options.rows, seed, options.max_iter) for seed in range(options.seeds)]
    means = pd.concat(parts).groupby(level=0, sort=False).mean()
    print((100 * means).round(2).to_string())


def compare(n_rows: int, seed: int, max_iter: int) -> pd.DataFrame:
    """Average precision and alarm rates of both detectors on the same rows, as shares.

    ``frequent`` and ``rare`` are average precisions among the rows of these countries, ``lowest``
    and ``highest`` the alarm rates of normal rows among the frequent ones, ``rare alarms`` that of
    the rare ones together.
    """
    history, _ = payments_of_countries(n_rows, 2 * seed, anomalies=0.0)
    rows, odd = payments_of_countries(n_rows, 2 * seed + 1)
    given: dict[str, Any] = {
        "alpha": 0.02,
        "random_state": seed,
        "max_iter": max_iter,
        "progress": False,
    }
    detectors = {
        "one model": TabularDetector(**given),
        "by country": SegmentedDetector(by="country", min_rows=400, **given),
    }
    found = {}
    for name, detector in detectors.items():
        scored = detector.fit(history).score_frame(rows)
        found[name] = _figures(rows, odd, scored)
    return pd.DataFrame(found).T


def payments_of_countries(
    n_rows: int, seed: int, anomalies: float = ANOMALIES
) -> tuple[pd.DataFrame, np.ndarray]:
    """Payments, and which of them are anomalies."""
    rng = np.random.default_rng(seed)
    country = rng.choice(list(SHARES), n_rows, p=np.array(list(SHARES.values())))
    odd = rng.random(n_rows) < anomalies
    kind = np.where(odd, rng.integers(4, size=n_rows), -1)
    elsewhere = rng.choice(list(FREQUENT), n_rows)
    scale, rate, noise, channels = _populations()

    def of(column: int, table: dict[str, float]) -> np.ndarray:
        source = np.where((kind == column) & (elsewhere != country), elsewhere, country)
        return pd.Series(source).map(table).to_numpy(float)

    amount = np.exp(of(0, scale) + rng.normal(0, 0.4, n_rows))
    own_noise = pd.Series(country).map(noise).to_numpy(float)
    fee = amount * of(1, rate) * np.exp(rng.normal(0, own_noise)) * np.where(kind == 3, 1.1, 1.0)
    source = np.where(kind == 2, elsewhere, country)
    channel = [rng.choice(CHANNELS, p=channels[each]) for each in source]
    frame = {"country": country, "amount": amount, "fee": fee, "channel": channel}
    odd &= (kind == 3) | (elsewhere != country)
    return pd.DataFrame(frame).assign(items=rng.poisson(3, n_rows)), odd


def _populations() -> tuple[dict, dict, dict, dict]:
    """Logarithm of the amount, fee rate, spread of the fee and channels, by country."""
    rng = np.random.default_rng(0)
    scale = {name: rng.uniform(2.0, 6.0) for name in SHARES}
    rate = {name: rng.uniform(0.01, 0.05) for name in SHARES}
    noise = {name: rng.choice([0.005, 0.02, 0.05]) for name in SHARES}
    channels = {name: rng.dirichlet(np.full(len(CHANNELS), 0.4)) for name in SHARES}
    return scale, rate, noise, channels


def _figures(rows: pd.DataFrame, odd: np.ndarray, scored: pd.DataFrame) -> dict[str, float]:
    scores, rare = scored["anomaly_score"].to_numpy(), rows["country"].isin(RARE).to_numpy()
    flagged = scored["is_anomaly"].to_numpy(float)
    normal = pd.Series(flagged[~odd & ~rare]).groupby(rows["country"][~odd & ~rare].to_numpy())
    return {
        "average precision": average_precision(odd, scores),
        "frequent": average_precision(odd[~rare], scores[~rare]),
        "rare": average_precision(odd[rare], scores[rare]),
        "lowest": normal.mean().min(),
        "highest": normal.mean().max(),
        "rare alarms": flagged[rare & ~odd].mean(),
    }


if __name__ == "__main__":
    main()
