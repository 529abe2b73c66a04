"""Numbers of rows: 0, 1, 2, ... in the order of the files, as the local engine counts them."""

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from anomdiff.integrations.spark.tables import PART

__all__ = ["Part", "RowNumbers", "parts_in_order"]

Key = tuple[str, int]


class Part(NamedTuple):
    """A part of a file that Spark reads at once: the number of its first row, and its rows."""

    first: int
    rows: int


class RowNumbers:
    """Numbers the rows of the batches of a partition, which come part by part."""

    def __init__(self, parts: Mapping[Key, Part]):
        self._parts, self._seen = parts, Counter[Key]()

    def of(self, batch: pa.RecordBatch) -> np.ndarray:
        """Numbers of the rows of the next batch.

        Raises
        ------
        ValueError
            If a part has other rows than when they were counted.
        """
        codes = batch.column(PART[0]).dictionary_encode()
        starts = batch.column(PART[1]).to_numpy()
        found = np.empty(batch.num_rows, dtype=np.int64)
        changes = (np.diff(codes.indices.to_numpy()) != 0) | (np.diff(starts) != 0)
        ends = [0, *(np.flatnonzero(changes) + 1).tolist(), batch.num_rows]
        for begin, end in pairwise(ends if batch.num_rows else []):
            key = codes.dictionary[codes.indices[begin].as_py()].as_py(), int(starts[begin])
            part = self._parts.get(key, Part(0, 0))
            first = part.first + self._seen[key]
            self._seen[key] += end - begin
            if self._seen[key] > part.rows:
                raise ValueError(
                    f"need a table that stays as it is while it is scored; got other rows of "
                    f"{key[0] or 'the table'} than were counted before."
                )
            found[begin:end] = np.arange(first, first + end - begin)
        return found

    def with_numbers(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows with their number in the column `row`, and without their part."""
        names = [name for name in batch.schema.names if name not in PART]
        arrays = [pa.array(self.of(batch)), *(batch.column(name) for name in names)]
        return pa.RecordBatch.from_arrays(arrays, names=["row", *names])


def parts_in_order(sizes: Mapping[Key, int], rank: Callable[[str], Any]) -> dict[Key, Part]:
    """Number of the first row of each part.

    Parameters
    ----------
    sizes : mapping
        Rows of each part, by its file and where it begins.
    rank : callable
        What the files are sorted by.
    """
    keys = sorted(sizes, key=lambda key: (rank(key[0]), key[1]))
    ends = np.cumsum([sizes[key] for key in keys], dtype=np.int64).tolist()
    return {key: Part(end - sizes[key], sizes[key]) for key, end in zip(keys, ends, strict=True)}
