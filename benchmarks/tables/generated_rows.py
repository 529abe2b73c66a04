"""Normal rows of the generated tables: columns such as fraud and quality teams have.

Amounts have heavy tails, shares and gains are mostly exactly 0, counts over longer windows include
those over shorter ones, and some columns depend on each other.
"""

import numpy as np
import pandas as pd

__all__ = [
    "CATEGORIES",
    "accounts",
    "claims",
    "customers",
    "nights",
    "noise",
    "orders",
    "sensors",
    "shares",
    "terminals",
    "wide_accounts",
]

Generator = np.random.Generator

# Of a claim: share, typical amount, spread of its logarithm, mean number of positions.
CATEGORIES = {
    "glass": (0.40, 180.0, 0.3, 1.0),
    "theft": (0.25, 700.0, 0.4, 3.0),
    "water": (0.20, 2_500.0, 0.4, 8.0),
    "fire": (0.15, 9_000.0, 0.5, 20.0),
}
REGIONS = ["north", "east", "south", "west"]


def accounts(n_rows: int, rng: Generator) -> pd.DataFrame:
    """Independent columns of a bank account, of every shape."""
    return pd.DataFrame(
        {
            "balance": _amounts(rng.normal(7, 0.9, n_rows), rng),
            "turnover": (200 * (1 + rng.pareto(3, n_rows))).round(2),
            "largest_payment": _amounts(rng.normal(4, 0.7, n_rows), rng),
            "n_logins": _overdispersed(np.full(n_rows, 12.0), rng),
            "n_transfers": rng.poisson(4, n_rows),
            "share_abroad": _mostly_zero(rng.beta(2, 5, n_rows), 0.8, rng),
            "capital_gain": _mostly_zero(_amounts(rng.normal(6, 1, n_rows), rng), 0.9, rng),
            "is_business": _flags(n_rows, 0.15, rng),
        }
    )


def wide_accounts(n_rows: int, rng: Generator) -> pd.DataFrame:
    """Eight columns of accounts and 32 of noise."""
    return pd.concat([accounts(n_rows, rng), noise(n_rows, 32, rng)], axis=1)


def customers(n_rows: int, rng: Generator) -> pd.DataFrame:
    """A payment beside what its customer spent in the last 1, 7 and 30 days."""
    usual = rng.normal(3.5, 0.9, n_rows)  # logarithm of the customer's usual amount
    counts = _rolling_counts(rng.gamma(2, 0.6, n_rows), "n_payments", rng)
    mean = np.exp(usual + rng.normal(0, 0.3, n_rows) / np.sqrt(counts["n_payments_30d"]))
    return pd.DataFrame(
        {
            "amount": np.exp(usual + rng.normal(0, 0.3, n_rows)).round(2),
            **counts,
            "mean_amount_30d": mean.round(2),
            "sum_30d": (mean * counts["n_payments_30d"]).round(2),
            "hour": _hours(n_rows, rng),
            "weekday": rng.integers(0, 7, n_rows),
        }
    )


def claims(n_rows: int, rng: Generator) -> pd.DataFrame:
    """A claim, whose amount and number of positions depend on its category."""
    share, typical, spread, positions = map(np.array, zip(*CATEGORIES.values(), strict=True))
    kind = rng.choice(len(share), n_rows, p=share)
    amount = typical[kind] * np.exp(spread[kind] * rng.normal(size=n_rows))
    return pd.DataFrame(
        {
            "category": np.array([*CATEGORIES])[kind],
            "region": rng.choice(REGIONS, n_rows),
            "amount": amount.round(2),
            "n_positions": 1 + rng.poisson(positions[kind]),
            "share_excess": _mostly_zero(rng.beta(2, 8, n_rows), 0.7, rng),
            "years_insured": rng.gamma(2, 4, n_rows).round(1),
        }
    )


def shares(n_rows: int, rng: Generator) -> pd.DataFrame:
    """An invoice with ten shares, from 60 to 98 % of whose cells are exactly 0."""
    empty = np.linspace(0.60, 0.98, 10)
    columns = {
        f"share_{i}": _mostly_zero(rng.beta(2, 4, n_rows), share, rng)
        for i, share in enumerate(empty)
    }
    amount = _amounts(rng.normal(5, 0.8, n_rows), rng)
    gain = _mostly_zero(_amounts(rng.normal(7, 1, n_rows), rng), 0.95, rng)
    return pd.DataFrame({"amount": amount, "capital_gain": gain, **columns})


def terminals(n_rows: int, rng: Generator) -> pd.DataFrame:
    """A payment beside the count and the share of known fraud at its terminal."""
    counts = _rolling_counts(rng.gamma(4, 1.5, n_rows), "n_payments", rng)
    risk = _mostly_zero(rng.beta(1, 8, n_rows), 0.93, rng)
    risks = {
        f"risk_{days}d": rng.binomial(counts[f"n_payments_{days}d"], risk)
        / counts[f"n_payments_{days}d"]
        for days in (1, 7, 30)
    }
    return pd.DataFrame(
        {"amount": _amounts(rng.normal(3.5, 0.8, n_rows), rng), **counts, **risks}
    ).assign(hour=_hours(n_rows, rng), is_weekend=_flags(n_rows, 2 / 7, rng))


def nights(n_rows: int, rng: Generator) -> pd.DataFrame:
    """Four columns: amount, hour, weekday and a flag."""
    return pd.DataFrame(
        {
            "amount": _amounts(rng.normal(4, 0.8, n_rows), rng),
            "hour": _hours(n_rows, rng),
            "weekday": rng.integers(0, 7, n_rows),
            "is_new_device": _flags(n_rows, 0.15, rng),
        }
    )


def sensors(n_rows: int, rng: Generator, n_sensors: int = 12, spread: float = 0.3) -> pd.DataFrame:
    """Sensors that follow three common states, each with noise of its own."""
    states = rng.normal(size=(n_rows, 3)) * [1.5, 1.0, 0.7]
    readings = states @ rng.normal(size=(3, n_sensors)) + spread * rng.normal(
        size=(n_rows, n_sensors)
    )
    scale, offset = 10 ** rng.uniform(-1, 2, n_sensors), rng.uniform(0, 100, n_sensors)
    names = [f"sensor_{i}" for i in range(n_sensors)]
    return pd.DataFrame((readings * scale + offset).round(4), columns=names)


def orders(n_rows: int, rng: Generator) -> pd.DataFrame:
    """A payment with the history of its customer, categories and columns of noise."""
    channel = rng.choice(["web", "shop", "phone"], n_rows, p=[0.6, 0.3, 0.1])
    extra = {"channel": channel, "region": rng.choice(REGIONS, n_rows)}
    extra |= {"share_returned": _mostly_zero(rng.beta(2, 5, n_rows), 0.9, rng)}
    return pd.concat([customers(n_rows, rng), pd.DataFrame(extra), noise(n_rows, 8, rng)], axis=1)


def noise(n_rows: int, n_columns: int, rng: Generator) -> pd.DataFrame:
    """Columns that tell nothing: normal, log-normal, counts and flags in turn."""
    draws = [
        lambda: rng.normal(size=n_rows),
        lambda: _amounts(rng.normal(3, 0.6, n_rows), rng),
        lambda: _overdispersed(np.full(n_rows, 5.0), rng),
        lambda: _flags(n_rows, 0.3, rng),
    ]
    return pd.DataFrame({f"noise_{i}": draws[i % len(draws)]() for i in range(n_columns)})


def _amounts(logarithm: np.ndarray, rng: Generator) -> np.ndarray:
    """Log-normal amounts in cents, a tenth of them round."""
    amount = np.exp(logarithm)
    return np.where(rng.random(len(amount)) < 0.1, np.ceil(amount / 10) * 10, amount.round(2))


def _mostly_zero(values: np.ndarray, zero: float, rng: Generator) -> np.ndarray:
    return np.where(rng.random(len(values)) < zero, 0.0, values.round(4))


def _overdispersed(mean: np.ndarray, rng: Generator) -> np.ndarray:
    """Negative binomial counts of variance mean + mean^2 / 3."""
    return rng.poisson(rng.gamma(3, mean / 3))


def _rolling_counts(rate: np.ndarray, name: str, rng: Generator) -> dict[str, np.ndarray]:
    """Counts over 1, 7 and 30 days, that of the row included, of a rate per day."""
    day = 1 + rng.poisson(rate)
    week = day + rng.poisson(6 * rate)
    return {
        f"{name}_1d": day,
        f"{name}_7d": week,
        f"{name}_30d": week + rng.poisson(23 * rate),
    }


def _flags(n_rows: int, share: float, rng: Generator) -> np.ndarray:
    return (rng.random(n_rows) < share).astype(int)


def _hours(n_rows: int, rng: Generator) -> np.ndarray:
    """Hours of the day, mostly about 14."""
    return np.floor(rng.normal(14.5, 4, n_rows) % 24).astype(int)
