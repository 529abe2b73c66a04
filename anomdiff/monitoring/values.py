"""Which values a column of text showed in training: the frequent ones by name, others as hashes.

A bounded sketch answers for any number of values, and holds none of the rare ones as text.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

__all__ = ["Novelty", "describe_values", "digits", "novelty"]

MAX_VALUES = 200  # most frequent categories that a profile names
MAX_HASHES = 2**13  # hashes of further values that it keeps, the smallest ones
HASH_BITS = 32


class Novelty(NamedTuple):
    """Share of a batch's cells whose value is new, estimated from so many cells."""

    unseen: float
    judged: int


def describe_values(labels: pd.Series) -> dict[str, Any]:
    """Describe the values of a column by JSON values of bounded size.

    Returns
    -------
    described : dict
        ``shares`` of the most frequent values that occur more than once; ``hashes`` of the other
        values, those below ``hashed_below``, which are all if they are few; ``n_values``, the
        number of values; ``seen_once``, the share of cells whose value occurs once: Good's
        estimate of the share of new values among further cells.

    References
    ----------
    Good (1953), "The Population Frequencies of Species and the Estimation of Population
    Parameters". Sampling by value: Gibbons (2001), "Distinct Sampling for Highly-Accurate Answers".
    """
    counts, n = labels.value_counts(), max(len(labels), 1)
    named = counts[counts > 1][:MAX_VALUES]
    hashes = np.sort(_hashes(counts.index.difference(named.index)))
    below = int(hashes[MAX_HASHES]) if len(hashes) > MAX_HASHES else 2**HASH_BITS
    return {
        "shares": (named / n).to_dict(),
        "hashes": hashes[hashes < below].tolist(),
        "hashed_below": below,
        "n_values": len(counts),
        "seen_once": float((counts == 1).sum() / n),
    }


def novelty(described: Mapping[str, Any], labels: pd.Series) -> Novelty:
    """Share of cells whose value training did not show; NaN where the profile cannot tell."""
    counts = labels.value_counts()
    others = counts[~counts.index.isin(described["shares"])]
    if not len(others):
        return Novelty(0.0, len(labels))
    if "hashes" not in described:  # profiles of earlier versions
        known = described["n_values"] <= len(described["shares"])
        return Novelty(float(others.sum() / len(labels)) if known else np.nan, len(labels))
    hashes = _hashes(others.index)
    sampled = hashes < described["hashed_below"]
    new = sampled & ~np.isin(hashes, described["hashes"])
    n_others, n_sampled = others.sum(), others[sampled].sum()
    if not n_sampled:
        return Novelty(np.nan, 0)
    share = n_others / len(labels) * others[new].sum() / n_sampled
    return Novelty(float(share), max(1, round(len(labels) * n_sampled / n_others)))


def digits(labels: pd.Series) -> np.ndarray:
    """Read the digits of texts as numbers, such as 20240310 of "2024-03-10"; without those none."""
    numbers = pd.to_numeric(labels.astype(str).str.replace(r"\D+", "", regex=True), errors="coerce")
    found = numbers.to_numpy(float)
    return found[np.isfinite(found)]


def _hashes(values: pd.Index) -> np.ndarray:
    """Hashes of texts, the same in every process."""
    texts = values.astype(str).to_numpy(object)
    return pd.util.hash_array(texts, categorize=False) >> np.uint64(64 - HASH_BITS)
