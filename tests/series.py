"""Small time series for tests."""

import numpy as np
import pandas as pd


def waves(n, seed, start=0):
    """Draw three channels, a slow wave, its echo and a faster one, each with a little noise."""
    rng = np.random.default_rng(seed)
    steps = np.arange(start, start + n)
    clean = [np.sin(steps / 4), 2 * np.sin(steps / 4 - 1) + 5, np.cos(steps / 2.5)]
    index = pd.date_range("2025-01-01", periods=n, freq="min")
    values = np.stack(clean, axis=1) + rng.normal(0, 0.05, (n, 3))
    return pd.DataFrame(values, columns=["slow", "echo", "fast"], index=index)


def panel(n, seed, labels=("a", "b")):
    """Put several series below each other, each with its own scale, time in a column."""
    parts = [
        (waves(n, seed + i) * 10**i).rename_axis("time").reset_index().assign(host=label)
        for i, label in enumerate(labels)
    ]
    return pd.concat(parts, ignore_index=True)


def autoregression(n, seed, memory=0.6):
    """Draw a stationary process: each step remembers a share of the last."""
    noise = np.random.default_rng(seed).normal(size=n + 100)
    values = np.zeros(n + 100)
    for t in range(1, n + 100):
        values[t] = memory * values[t - 1] + noise[t]
    return values[100:, None]
