"""Keys that several rows of a scored table share, although verdicts go by the key."""

import numpy as np
import pandas as pd

__all__ = ["RepeatedKeys", "sentence"]


class RepeatedKeys:
    """Finds rows that share their key, whatever batches they are in, in 16 bytes per row."""

    def __init__(self) -> None:
        self._hashes: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []

    def add(self, keys: pd.DataFrame) -> None:
        """Take the key columns of a batch; the index is the number of the row."""
        self._hashes.append(pd.util.hash_pandas_object(keys, index=False).to_numpy())
        self._rows.append(keys.index.to_numpy())

    def sentence(self, names: list[str]) -> str | None:
        """Say how many rows have the key of an earlier one, and the first of them; None if none."""
        if not self._hashes:
            return None
        hashes, rows = np.concatenate(self._hashes), np.concatenate(self._rows)
        order = np.argsort(hashes, kind="stable")
        again = np.flatnonzero(np.diff(hashes[order]) == 0) + 1
        if not len(again):
            return None
        second = order[again].min()
        first = np.flatnonzero(hashes == hashes[second])[0]
        return sentence(names, len(again), rows[second], rows[first])


def sentence(names: list[str], n_rows: int, row: int, earlier: int) -> str:
    """Say how many rows have the key of an earlier one, and which is the first of them."""
    return (
        f"need keys that tell rows apart, as verdicts go by them; {n_rows:,} rows have the key "
        f"{names} of an earlier one, first row {row} that of row {earlier}: set further columns "
        "in `key`."
    )
