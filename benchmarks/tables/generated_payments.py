"""Payments of customers at terminals, some of them fraud, simulated day by day and split in time.

A customer has a usual amount, a number of payments per day and some terminals. For some days a
compromised terminal makes every payment fraud, or a stolen card makes half of the customer's
payments fraud, of five times the amount. A row tells a payment's amount and time, what the customer
did in the last 1, 7 and 30 days, and how many payments at its terminal were fraud; that is known
a week late. The genuine payments of a week train; all payments of the week after next are tested.

References
----------
The idea, not the code, is that of Le Borgne, Siblini, Lebichot and Bontempi (2022), "Reproducible
Machine Learning for Credit Card Fraud Detection - Practical Handbook", chapter 3.
"""

import numpy as np
import pandas as pd

from benchmarks.common.comparison import Split

__all__ = ["features", "payments", "simulate", "windowed"]

WINDOWS = 1, 7, 30  # days
DELAY = 7  # days until fraud is known
WARM_UP = max(WINDOWS) + DELAY + 1
WEEK = 7
N_DAYS = WARM_UP + 3 * WEEK  # training week, a week between, tested week
SPELL = 14  # days for which a terminal is compromised, or a card stolen
PER_DAY = 2.0  # payments of a customer, on average
TERMINALS_EACH = 8
FRAUD_FACTOR = 5.0


def payments(
    rng: np.random.Generator,
    n_customers: int,
    n_terminals: int,
    *,
    compromised: float = 0.0,
    stolen: float = 0.0,
) -> Split:
    """Simulated payments as rows of features: a training week and a later tested week.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of all that is drawn.
    n_customers, n_terminals : int
        A customer pays about twice a day.
    compromised, stolen : float, default=0.0
        Terminals that are compromised, and cards that are stolen, at any time, as shares.

    Returns
    -------
    split : Split
        Frames of 15 columns; the training rows are genuine.
    """
    rows = simulate(rng, n_customers, n_terminals, compromised=compromised, stolen=stolen)
    table, fraud, day = features(rows), rows["is_fraud"].to_numpy(), rows["time"].to_numpy()
    train = (day >= WARM_UP) & (day < WARM_UP + WEEK) & ~fraud
    test = day >= WARM_UP + 2 * WEEK
    return Split(
        table[train].reset_index(drop=True), table[test].reset_index(drop=True), fraud[test]
    )


def simulate(
    rng: np.random.Generator,
    n_customers: int,
    n_terminals: int,
    *,
    compromised: float = 0.0,
    stolen: float = 0.0,
) -> pd.DataFrame:
    """All payments in the order of time: customer, terminal, time in days, amount, is_fraud."""
    rate = PER_DAY * rng.gamma(3, 1 / 3, n_customers)
    customer = np.repeat(np.arange(n_customers), rng.poisson(rate * N_DAYS))
    usual = np.exp(rng.normal(3.5, 0.7, n_customers))
    own = rng.integers(0, n_terminals, (n_customers, TERMINALS_EACH))
    n_rows = len(customer)
    terminal = own[customer, rng.integers(0, TERMINALS_EACH, n_rows)]
    time = rng.integers(0, N_DAYS, n_rows) + rng.normal(0.55, 0.2, n_rows) % 1
    amount = usual[customer] * rng.gamma(4, 1 / 4, n_rows)
    bad_terminal = _in_spell(terminal, time, n_terminals, compromised, rng)
    stolen_card = _in_spell(customer, time, n_customers, stolen, rng) & (rng.random(n_rows) < 0.5)
    frame = pd.DataFrame(
        {
            "customer": customer,
            "terminal": terminal,
            "time": time,
            "amount": np.where(stolen_card, FRAUD_FACTOR * amount, amount).round(2),
            "is_fraud": bad_terminal | stolen_card,
        }
    )
    return frame.sort_values("time", ignore_index=True)


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """What is known of each payment when it is made, a row per row."""
    time, amount = rows["time"].to_numpy(), rows["amount"].to_numpy()
    customer, terminal = rows["customer"].to_numpy(), rows["terminal"].to_numpy()
    columns = {
        "amount": amount,
        "is_weekend": (time.astype(int) % 7 >= 5).astype(int),
        "is_night": (time % 1 < 0.25).astype(int),
    }
    for days in WINDOWS:
        count, total = windowed(customer, time, amount, days)
        columns |= {f"customer_n_{days}d": count, f"customer_mean_{days}d": total / count}
    for days in WINDOWS:
        count, fraud = windowed(terminal, time, rows["is_fraud"].to_numpy(), days, DELAY)
        columns |= {f"terminal_n_{days}d": count}
        columns |= {f"terminal_risk_{days}d": fraud / np.maximum(count, 1)}
    return pd.DataFrame(columns)


def windowed(
    group: np.ndarray, time: np.ndarray, values: np.ndarray, days: float, delay: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Number of rows of the same group in ``(time - delay - days, time - delay]``; their sum.

    Without delay a row counts itself.
    """
    order = np.lexsort((time, group))
    start = group * (np.ptp(time) + days + delay + 1) + time  # windows meet no other group
    ordered = start[order]
    totals = np.concatenate([[0.0], np.cumsum(values[order])])
    last = np.searchsorted(ordered, start - delay, side="right")
    first = np.searchsorted(ordered, start - delay - days, side="right")
    return last - first, totals[last] - totals[first]


def _in_spell(
    who: np.ndarray, time: np.ndarray, n: int, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Whether each time lies in a spell of its own; at any time, about this share are in one.

    Spells begin about evenly over the days, so that every week has some.
    """
    n_spells = round(share * n * (N_DAYS + SPELL) / SPELL)
    evenly = (np.arange(n_spells) + rng.random(n_spells)) / max(n_spells, 1)
    begin = np.full(n, np.inf)
    begin[rng.choice(n, n_spells, replace=False)] = evenly * (N_DAYS + SPELL) - SPELL
    return (time >= begin[who]) & (time < begin[who] + SPELL)
