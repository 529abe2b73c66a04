"""Tables whose truth is known: card payments with planted fraud, and tumour measurements.

A payment is drawn column by column, each given those before it::

    merchant_category -> channel -> card_present, device, device_age_days, hour of timestamp
    customer_age -> account_age_days -> card_tier
    merchant_category, card_tier, channel -> amount (in euros)
    country -> currency, distance_from_home_km (at home if online)
    hours_since_last -> n_payments_24h

Fraud then changes some cells of a normal payment, so that the truth knows which.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

__all__ = ["medical", "payments"]

# Per merchant category: share, typical amount, spread of its logarithm, share of each channel.
CHANNELS = ("chip", "contactless", "online", "atm")
MERCHANTS = {
    "groceries": (0.28, 28.0, 0.6, (0.45, 0.50, 0.05, 0)),
    "restaurant": (0.16, 24.0, 0.5, (0.40, 0.55, 0.05, 0)),
    "transport": (0.12, 7.0, 0.5, (0.15, 0.55, 0.30, 0)),
    "fuel": (0.08, 55.0, 0.3, (0.90, 0.10, 0.00, 0)),
    "clothing": (0.10, 60.0, 0.6, (0.45, 0.10, 0.45, 0)),
    "electronics": (0.05, 220.0, 0.7, (0.30, 0.02, 0.68, 0)),
    "travel": (0.04, 380.0, 0.7, (0.12, 0.00, 0.88, 0)),
    "subscription": (0.09, 12.0, 0.3, (0.00, 0.00, 1.00, 0)),
    "cash": (0.08, 90.0, 0.5, (0.00, 0.00, 0.00, 1)),
}
TIERS = {"standard": 1.0, "gold": 1.6, "platinum": 2.8}  # factor of the amount
COUNTRIES = {  # currency, share of the payments, typical distance from home in km
    "DE": ("EUR", 0.82, 6.0),
    "FR": ("EUR", 0.05, 600.0),
    "IT": ("EUR", 0.03, 900.0),
    "CH": ("CHF", 0.03, 500.0),
    "GB": ("GBP", 0.03, 900.0),
    "PL": ("PLN", 0.02, 700.0),
    "US": ("USD", 0.015, 7000.0),
    "JP": ("JPY", 0.005, 9200.0),
}
DEVICES = {"phone": 0.62, "laptop": 0.28, "tablet": 0.10}
BUSIEST_HOUR = {"chip": 14.0, "contactless": 12.5, "online": 20.0, "atm": 11.0}
CONTACTLESS_LIMIT = 50.0
UNKNOWN_MERCHANT = "crypto_exchange"


def payments(
    n_rows: int, *, fraud_rate: float = 0.0, seed: int, start: str = "2025-01-01", days: int = 30
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make card payments of a German bank, with planted fraud.

    Seven kinds of fraud are planted in equal parts; each changes a normal payment in the columns
    in brackets, and in no other:

    - `card_testing`: one of many tiny online payments within minutes
      (amount, hours_since_last, n_payments_24h).
    - `account_takeover`: online at night from a new device, far from home, 3 to 10 times the
      amount (timestamp, amount, device_age_days, distance_from_home_km).
    - `impossible_travel`: by chip, minutes after another payment, at a distance that does not
      fit the country (hours_since_last, distance_from_home_km).
    - `amount_out_of_pattern`: 15 to 40 times what the category and the card tier give, which
      elsewhere in the table is a usual amount (amount).
    - `card_present_online`: an online payment with the card present (card_present).
    - `wrong_currency`: a currency that is not that of the country (currency).
    - `unknown_merchant`: a merchant category that no normal payment has (merchant_category).

    Parameters
    ----------
    n_rows : int
        Number of payments, at least 1; a few hundred to plant every kind of fraud.
    fraud_rate : float, default=0.0
        Share of fraud, rounded to whole rows, from 0 to 0.2.
    seed : int
        The same seed gives the same rows, and the same normal payments whatever `fraud_rate`.
    start : str, default="2025-01-01"
        First day.
    days : int, default=30
        Number of days.

    Returns
    -------
    frame : DataFrame
        Payments in the order of their (true) time. `device` and `device_age_days` are missing
        where the payment is not online, `hours_since_last` for a first payment.
    truth : DataFrame
        Per row `is_fraud` (bool), `kind` and `columns` ("amount;currency"; both "" if normal).
    """
    if n_rows < 1 or days < 1 or not 0 <= fraud_rate <= 0.2:
        raise ValueError(
            "need n_rows and days of at least 1 and fraud_rate from 0 to 0.2; "
            f"got n_rows={n_rows}, days={days}, fraud_rate={fraud_rate}."
        )
    normal, fraud = np.random.default_rng(seed).spawn(2)
    frame = _normal_payments(normal, n_rows, pd.Timestamp(start), days)
    return _plant(fraud, frame, round(n_rows * fraud_rate))


def medical() -> tuple[pd.DataFrame, pd.Series]:
    """Read scikit-learn's breast cancer table: 30 measurements of 569 tumours.

    Returns
    -------
    frame : DataFrame
        357 benign and 212 malignant tumours.
    labels : Series
        True where malignant, the anomaly.

    References
    ----------
    Wolberg et al. (1995), Breast Cancer Wisconsin (Diagnostic), UCI.
    """
    table = load_breast_cancer(as_frame=True)
    return table.data, (table.target == 0).rename("malignant")


def _normal_payments(rng, n: int, start: pd.Timestamp, days: int) -> pd.DataFrame:
    share, typical, spread, channels = map(np.array, zip(*MERCHANTS.values(), strict=True))
    merchant = _choose(rng, np.tile(share, (n, 1)))
    channel = _choose(rng, channels[merchant])
    age, account_age, tier = _customers(rng, n)
    factor = np.array([*TIERS.values()])[tier]
    amount = typical[merchant] * factor * np.exp(spread[merchant] * rng.normal(size=n))
    channel, amount = _rules_of_channels(channel, amount)
    online = channel == CHANNELS.index("online")
    currency, home_share, distance = zip(*COUNTRIES.values(), strict=True)
    country = _choose(rng, np.tile(home_share, (n, 1)))
    away = np.where(online, distance[0], np.array(distance)[country])
    wander = np.where(away > 100, 0.12, 0.5)
    device = _choose(rng, np.tile([*DEVICES.values()], (n, 1)))
    hours, payments_24h = _recent_payments(rng, n)

    frame = pd.DataFrame(
        {
            "timestamp": _timestamps(rng, channel, start, days),
            "amount": amount.round(2),
            "currency": pd.Categorical(np.array(currency)[country], sorted(set(currency))),
            "merchant_category": _category(merchant, MERCHANTS),
            "channel": _category(channel, CHANNELS),
            "card_present": ~online,
            "card_tier": _category(tier, TIERS),
            "country": _category(country, COUNTRIES),
            "distance_from_home_km": (away * np.exp(wander * rng.normal(size=n))).round(1),
            "customer_age": age,
            "account_age_days": account_age,
            "hours_since_last": hours,
            "n_payments_24h": payments_24h,
            "device": _category(np.where(online, device, -1), DEVICES),
            "device_age_days": np.where(online, 1 + rng.gamma(2.0, 200.0, n), np.nan).round(1),
        }
    )
    return frame.sort_values("timestamp", kind="stable", ignore_index=True)


def _plant(rng, frame: pd.DataFrame, n_fraud: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Change `n_fraud` rows of `frame` and tell which, how and where."""
    truth = pd.DataFrame({"is_fraud": False, "kind": "", "columns": ""}, index=frame.index)
    if n_fraud:
        merchants = frame["merchant_category"].cat.add_categories([UNKNOWN_MERCHANT])
        frame["merchant_category"] = merchants
    candidates = {kind: may_be(frame) for kind, (may_be, _) in FRAUDS.items()}
    for place, (kind, (_, change)) in enumerate(FRAUDS.items()):
        count = n_fraud // len(FRAUDS) + (place < n_fraud % len(FRAUDS))
        free = np.flatnonzero(candidates[kind] & ~truth["is_fraud"])
        if len(free) < count:
            raise ValueError(f"need more than {len(frame)} rows to plant {count} of {kind!r}.")
        rows = rng.choice(free, count, replace=False)
        changed = change(rng, frame.loc[rows])
        for column, values in changed.items():
            frame.loc[rows, column] = values
        truth.loc[rows, ["is_fraud", "kind", "columns"]] = [True, kind, ";".join(changed)]
    return frame, truth


def _online(frame: pd.DataFrame) -> pd.Series:
    return frame["channel"] == "online"


def _small_purchase(frame: pd.DataFrame) -> pd.Series:
    small = ["groceries", "restaurant", "transport", "subscription"]
    return frame["merchant_category"].isin(small) & frame["channel"].isin(["chip", "online"])


def _chip_in_europe_soon_after_another(frame: pd.DataFrame) -> pd.Series:
    far = frame["country"].isin(["US", "JP"])
    return (frame["channel"] == "chip") & ~far & (frame["n_payments_24h"] > 0)


def _card_testing(rng: np.random.Generator, rows: pd.DataFrame) -> dict:
    n = len(rows)
    return {
        "amount": rng.uniform(0.01, 1.5, n).round(2),
        "hours_since_last": rng.uniform(0, 0.03, n).round(3),
        "n_payments_24h": rng.integers(20, 60, n),
    }


def _account_takeover(rng: np.random.Generator, rows: pd.DataFrame) -> dict:
    n = len(rows)
    hour = pd.to_timedelta(rng.integers(3600, 4 * 3600, n), unit="s")
    return {
        "timestamp": (rows["timestamp"].dt.normalize() + hour).to_numpy(),
        "amount": (rows["amount"] * rng.uniform(3, 10, n)).round(2),
        "device_age_days": rng.uniform(0, 0.2, n).round(1),
        "distance_from_home_km": rng.uniform(1500, 9000, n).round(1),
    }


def _impossible_travel(rng: np.random.Generator, rows: pd.DataFrame) -> dict:
    n = len(rows)
    return {
        "hours_since_last": rng.uniform(0.05, 0.25, n).round(2),
        "distance_from_home_km": rng.uniform(8000, 15000, n).round(1),
    }


def _amount_out_of_pattern(rng: np.random.Generator, rows: pd.DataFrame) -> dict:
    amounts = {name: amount for name, (_, amount, _, _) in MERCHANTS.items()}
    typical = rows["merchant_category"].map(amounts).astype(float)
    expected = typical * rows["card_tier"].map(TIERS).astype(float)
    return {"amount": (expected * rng.uniform(15, 40, len(rows))).round(2)}


def _wrong_currency(rng: np.random.Generator, rows: pd.DataFrame) -> dict:
    currencies = rows["currency"].cat.categories
    step = rng.integers(1, len(currencies), len(rows))
    return {"currency": currencies[(rows["currency"].cat.codes + step) % len(currencies)]}


FRAUDS = {  # which normal payments can become it, and what it changes
    "card_testing": (_online, _card_testing),
    "account_takeover": (_online, _account_takeover),
    "impossible_travel": (_chip_in_europe_soon_after_another, _impossible_travel),
    "amount_out_of_pattern": (_small_purchase, _amount_out_of_pattern),
    "card_present_online": (_online, lambda _, rows: {"card_present": np.ones(len(rows), bool)}),
    "wrong_currency": (lambda frame: frame["currency"].notna(), _wrong_currency),
    "unknown_merchant": (
        _small_purchase,
        lambda _, rows: {"merchant_category": [UNKNOWN_MERCHANT] * len(rows)},
    ),
}


def _customers(rng, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Age, age of the account (since 18 at most) and card tier, the higher the older."""
    age = np.clip(18 + rng.gamma(3.0, 9.0, n), 18, 95).astype(int)
    account_age = (rng.beta(1.2, 1.5, n) * (365 * (age - 17))).astype(int)
    seniority = np.clip(account_age / 365 / 30, 0, 1)
    tiers = np.stack([0.85 - 0.5 * seniority, 0.12 + 0.3 * seniority, 0.03 + 0.2 * seniority], 1)
    return age, account_age, _choose(rng, tiers)


def _rules_of_channels(channel, amount) -> tuple[np.ndarray, np.ndarray]:
    """Contactless only up to a limit, else by chip; cash in whole tens."""
    too_much = (channel == CHANNELS.index("contactless")) & (amount > CONTACTLESS_LIMIT)
    channel = np.where(too_much, CHANNELS.index("chip"), channel)
    cash = np.maximum(10.0, 10 * np.round(amount / 10))
    return channel, np.where(channel == CHANNELS.index("atm"), cash, np.maximum(amount, 0.5))


def _recent_payments(rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Hours since the last payment, missing for a first one, and payments in the last 24 hours."""
    rate = rng.gamma(2.0, 0.6, n) + 0.1  # payments a day
    hours = 0.3 + rng.exponential(24 / rate)
    count = np.where(hours < 24, 1 + rng.poisson(rate * np.maximum(0, 24 - hours) / 24), 0)
    first = rng.random(n) < 0.01
    return np.where(first, np.nan, hours).round(2), np.where(first, 0, count)


def _timestamps(rng, channel, start: pd.Timestamp, days: int) -> pd.DatetimeIndex:
    """Fewer payments on Sundays; in a day, around the busiest hour of the channel."""
    weekdays = (start.weekday() + np.arange(days)) % 7
    weights = np.where(weekdays == 6, 0.6, 1.0)
    day = rng.choice(days, size=len(channel), p=weights / weights.sum())
    busiest = np.array([BUSIEST_HOUR[name] for name in CHANNELS])[channel]
    share = (busiest - 6) / 18  # of the time from 6 to 24
    hour = 6 + 18 * rng.beta(1 + 8 * share, 9 - 8 * share)
    seconds = (day * 86400 + hour * 3600).astype("timedelta64[s]")
    return pd.DatetimeIndex(start.to_datetime64() + seconds).as_unit("us")


def _choose(rng, shares: np.ndarray) -> np.ndarray:
    """Draw one code per row of `shares`."""
    steps = np.cumsum(shares, axis=1)
    return (rng.random((len(shares), 1)) * steps[:, -1:] >= steps[:, :-1]).sum(axis=1)


def _category(codes: np.ndarray, names: Iterable[str]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, [*names])
