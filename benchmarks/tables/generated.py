"""Generated tables with known anomalies, such as fraud and quality teams have them.

A table has mostly one kind of anomalies. It is the same for the same seed; payments come split in
time, other tables are yet to be split.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from benchmarks.common.comparison import Split
from benchmarks.tables.generated_anomalies import (
    Spoil,
    clustered,
    each_of,
    far_out,
    misplaced,
    multiplied,
    rare_share,
    shifted,
    stuck,
)
from benchmarks.tables.generated_payments import payments
from benchmarks.tables.generated_rows import (
    accounts,
    claims,
    customers,
    nights,
    orders,
    sensors,
    shares,
    terminals,
    wide_accounts,
)
from benchmarks.tables.labelled import Table

__all__ = ["GENERATED", "RECIPES", "SPLITS", "Recipe", "generate"]


@dataclass(frozen=True)
class Recipe:
    """Number of rows, the share of anomalies among them, how rows are made and then spoilt."""

    n_rows: int
    share: float
    make: Callable[[int, np.random.Generator], pd.DataFrame]
    spoil: Spoil


AMOUNTS = ["balance", "turnover", "largest_payment", "n_logins", "n_transfers"]
NOISE = [f"noise_{i}" for i in range(32) if i % 4 != 3]  # every fourth is a flag
HISTORY = ["amount", "n_payments_1d", "n_payments_7d", "n_payments_30d", "sum_30d"]

# Each with the largest first.
SPLITS: dict[str, Callable[[np.random.Generator], Split]] = {
    "payments": partial(payments, n_customers=405, n_terminals=300, compromised=0.012, stolen=0.02),
    "payments_stolen": partial(payments, n_customers=200, n_terminals=120, stolen=0.05),
}
RECIPES: dict[str, Recipe] = {
    "orders_all_kinds": Recipe(
        8_000,
        0.02,
        orders,
        each_of(
            [
                far_out(["amount", "noise_0", "noise_1"]),
                multiplied(HISTORY, (2.5, 4.0)),
                misplaced(["amount"]),
                rare_share(["share_returned"], "amount"),
            ]
        ),
    ),
    "customers_wrong_amount": Recipe(
        6_000,
        0.03,
        customers,
        each_of([misplaced(["amount"], 0.4), misplaced(["sum_30d"], 0.4)]),
    ),
    "customers_threefold": Recipe(5_000, 0.02, customers, multiplied(HISTORY, (2.5, 3.5))),
    "sensors_shifted": Recipe(4_000, 0.03, sensors, shifted((0.8, 1.6))),
    "terminals_compromised": Recipe(
        4_000,
        0.01,
        terminals,
        clustered({"risk_1d": 0.2, "risk_7d": 0.25, "risk_30d": 0.1}),
    ),
    "shares_rare": Recipe(
        3_000, 0.03, shares, rare_share([f"share_{i}" for i in range(6, 10)], "amount")
    ),
    "amounts_one_column": Recipe(3_000, 0.02, accounts, far_out(AMOUNTS)),
    "wide_two_columns": Recipe(2_000, 0.03, wide_accounts, far_out(NOISE, 2, (0.02, 0.3))),
    "claims_wrong_category": Recipe(1_500, 0.04, claims, misplaced(["amount"])),
    "sensors_stuck": Recipe(1_000, 0.05, partial(sensors, n_sensors=20), stuck(3)),
    "nights_small": Recipe(
        500, 0.05, nights, clustered({"amount": 150, "hour": 3, "is_new_device": 1}, 0.3)
    ),
}
GENERATED = (*SPLITS, *RECIPES)


def generate(name: str, seed: int = 0) -> Table | Split:
    """Make a table; it is a `Split` if it is named in `SPLITS`.

    Parameters
    ----------
    name : str
        One of `GENERATED`.
    seed : int, default=0
        The same seed gives the same table.

    Returns
    -------
    data : Table or Split
        Frames of at most 12,000 rows.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    return SPLITS[name](rng) if name in SPLITS else _table(RECIPES[name], rng)


def _table(recipe: Recipe, rng: np.random.Generator) -> Table:
    """Anomalies are made of rows that are normal and in no column beyond the others."""
    rows = recipe.make(recipe.n_rows, rng)
    n_anomalies = round(recipe.share * recipe.n_rows)
    anomalous = rng.permutation(recipe.n_rows) < n_anomalies
    normal = rows[~anomalous]
    numbers = normal.select_dtypes("number")
    inside = rows[anomalous].assign(
        **rows.loc[anomalous, numbers.columns].clip(numbers.min(), numbers.max(), axis=1)
    )
    spoilt = recipe.spoil(inside, normal, rng).round(_decimals(normal))
    return Table(pd.concat([normal, spoilt]).sort_index(), anomalous)


def _decimals(normal: pd.DataFrame) -> dict[str, int]:
    """Decimals of the columns that have few, so that these do not betray the anomalies."""
    numbers = normal.select_dtypes("float")
    few = {n: [d for d in range(5) if (numbers[n].round(d) == numbers[n]).all()] for n in numbers}
    return {name: found[0] for name, found in few.items() if found}
