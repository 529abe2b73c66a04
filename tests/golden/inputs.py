"""Seeded training data of the stored models, and the inputs that hold planted faults."""

import numpy as np
import pandas as pd

CURRENCY = {"no": "nok", "se": "sek", "fi": "eur", "de": "eur"}
BANK = {"no": "dnb", "se": "seb", "fi": "op", "de": "kfw"}
RARE = ["is", "dk", "ee", "lv", "lt", "pl"]


def orders(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw normal orders: price follows size and kind, currency and bank follow the country."""
    size = rng.gamma(3.0, 10.0, n)
    kind = rng.choice(["book", "game", "tool"], n, p=[0.5, 0.3, 0.2])
    price = size * pd.Series(kind).map({"book": 1, "game": 2, "tool": 3}) + rng.normal(0, 2, n)
    country = rng.choice([*CURRENCY], n, p=[0.4, 0.3, 0.2, 0.1])
    currency, bank = (pd.Series(country).map(each) for each in (CURRENCY, BANK))
    country = np.where(rng.random(n) < 0.04, rng.choice(RARE, n), country)
    days = pd.to_timedelta(rng.integers(0, 30, n), "D")
    sold = pd.Timestamp("2025-03-01 08:00") + days + pd.to_timedelta(rng.integers(0, 600, n), "min")
    visits = pd.Series(rng.poisson(3, n), dtype="Int64").mask(rng.random(n) < 0.15)
    return pd.DataFrame(
        {
            "size": size,
            "price": price,
            "weight": np.where(rng.random(n) < 0.1, np.nan, size / 10 + rng.normal(0, 0.2, n)),
            "income": np.exp(rng.normal(0, 1.5, n) + price / 60),
            "count": rng.poisson(4, n),
            "visits": visits,
            "gift": rng.random(n) < 0.2,
            "kind": kind,
            "country": country,
            "currency": np.where(rng.random(n) < 0.03, "usd", currency),
            "bank": np.where(rng.random(n) < 0.05, None, bank),
            "sold": sold,
        }
    )


def table() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw 300 orders to train on, and 200 of which 30 are copies of these and 60 are strange."""
    rng = np.random.default_rng(0)
    train, new = orders(300, rng), orders(170, rng)
    new = pd.concat([new[:70], train[70:100], new[70:]], ignore_index=True)
    new.loc[10:19, "price"] *= 4
    new.loc[20:29, "currency"] = new.loc[20:29, "currency"].map({"nok": "sek"}).fillna("nok")
    new.loc[20:29, "bank"] = new.loc[20:29, "bank"].map({"seb": "kfw"}).fillna("seb")
    new.loc[30:39, "income"] *= 100
    new.loc[40:44, "sold"] += pd.Timedelta("400D 12h")
    new.loc[45:49, "count"] += 40
    new.loc[50:54, "weight"] = 30.0
    new.loc[55:59, "visits"] = 60
    new.loc[60:64, "country"] = "fr"
    new.loc[65:69, "kind"] = "lamp"
    new.loc[120:129, ["size", "kind", "sold"]] = None
    return train, new.set_axis([f"order-{i}" for i in range(200)])


def numbers() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw 250 rows of four correlated numbers, and 120 of which the first 20 are torn apart."""
    rng = np.random.default_rng(1)
    mix = rng.normal(size=(4, 4))
    train, new = (rng.standard_t(4, (n, 4)) @ mix for n in (250, 120))
    new[:20] = rng.permuted(new[:20] * 2, axis=0)
    train, new = (pd.DataFrame(each, columns=[*"abcd"]) for each in (train, new))
    return train, new.mask(rng.random(new.shape) < 0.05)


def machine(n: int, label: str, rng: np.random.Generator) -> pd.DataFrame:
    """Draw a machine of three channels that follow each other, and a switch; steps are missing."""
    steps, scale = np.arange(n), rng.uniform(0.8, 1.6)
    channels = np.stack([np.sin(steps / 4), np.sin(steps / 4 - 1), np.cos(steps / 2.5)], axis=1)
    channels = scale * (channels + rng.normal(0, 0.08, (n, 3)) + rng.normal(0, 0.5, 3))
    channels[rng.random((n, 3)) < 0.02] = np.nan
    frame = pd.DataFrame(channels, columns=["heat", "pressure", "flow"])
    frame["on"] = (steps % 60 < 50) * 1
    frame.insert(0, "machine", label)
    frame.insert(1, "time", pd.date_range("2026-01-01", periods=n, freq="min"))
    return frame.drop(index=range(n // 3, n // 3 + 9))


def panel() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw three machines; 200 later steps of each with faults, and a machine that is new."""
    rng = np.random.default_rng(2)
    whole = [machine(600, label, rng) for label in "abc"]
    later = [each[each.index >= 400].reset_index(drop=True) for each in whole]
    new = [*later, machine(150, "d", rng)]
    spread = [each[["heat", "pressure", "flow"]].std() for each in new]
    new[0].loc[60, "heat"] += 2 * spread[0]["heat"]
    new[0].loc[120:132, "flow"] = new[0].loc[120, "flow"]
    new[1].loc[80:92, "pressure"] += spread[1]["pressure"]
    new[2].loc[50:60, ["heat", "pressure"]] = new[2].loc[50:60, ["pressure", "heat"]].to_numpy()
    new[3].loc[90:91, "flow"] -= 2 * spread[3]["flow"]
    train = pd.concat([each[each.index < 400] for each in whole], ignore_index=True)
    in_time = pd.concat(new).sort_values(["time", "machine"], kind="stable", ignore_index=True)
    return train, in_time


def series() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw a load of every hour with a daily wave, and later hours with a spike and a calm."""
    rng = np.random.default_rng(3)
    hours = np.arange(900)
    load = 50 + 10 * np.sin(hours * np.pi / 12) + rng.normal(0, 1.0, 900)
    load[rng.random(900) < 0.01] = np.nan
    load[720], load[800:812] = 90.0, 50.0
    frame = pd.DataFrame(
        {"load": load}, index=pd.date_range("2026-01-01", periods=900, freq="h", name="hour")
    )
    return frame[:600], frame[600:].drop(frame.index[660:666])


INPUTS = {"table": table, "numbers": numbers, "panel": panel, "series": series}
