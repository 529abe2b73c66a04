"""Small tables for tests."""

import numpy as np
import pandas as pd


def mixed_table(n, seed):
    """Draw sales with numbers, a category, a flag, a timestamp and missing cells; price follows."""
    rng = np.random.default_rng(seed)
    size = rng.gamma(3.0, 10.0, n)
    kind = rng.choice(["book", "game", "tool"], n, p=[0.5, 0.3, 0.2])
    factor = pd.Series(kind).map({"book": 1.0, "game": 2.0, "tool": 3.0}).to_numpy()
    price = factor * size + rng.normal(0, 2, n)
    weight = np.where(rng.random(n) < 0.1, np.nan, size / 10 + rng.normal(0, 0.2, n))
    return pd.DataFrame(
        {
            "size": size,
            "kind": kind,
            "price": price,
            "weight": weight,
            "count": rng.poisson(4, n),
            "gift": rng.random(n) < 0.2,
            "sold": pd.Timestamp("2025-03-01") + pd.to_timedelta(rng.integers(0, 40_000, n), "min"),
        },
        index=[f"sale-{i}" for i in range(n)],
    )
