"""Lines that have not the fields of a row: handed over as they come, while the others are read."""

from array import array
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

__all__ = ["BrokenLine", "BrokenLines"]


class BrokenLine(NamedTuple):
    """A line of a text file that is no row, with the number that it has among the rows."""

    row: int
    text: str
    reason: str


class BrokenLines:
    """Hands over the broken lines of a table, and numbers the rows that are left.

    A broken line counts as a row, so that the others keep their numbers. Memory holds eight bytes
    for each broken line ahead of the rows that were numbered last.

    Parameters
    ----------
    take : callable
        Is given each broken line, in their order.

    Attributes
    ----------
    n_broken : int
        Broken lines so far.
    """

    def __init__(self, take: Callable[[BrokenLine], None]):
        self._take = take
        self.n_broken = self._n_good = self._n_passed = self._start = 0
        self._places = array("q")  # number of good rows of the table before each broken line

    def begin_file(self) -> None:
        """Begin to count the rows of a file, after all rows of the last one were numbered."""
        self._start = self._n_good

    def add(self, n_before: int, text: str, reason: str) -> None:
        """Hand over a line that has ``n_before`` good rows of its file before it."""
        place = self._start + n_before
        self._places.append(place)
        self._take(BrokenLine(place + self.n_broken, text, reason))
        self.n_broken += 1

    def numbers(self, n_rows: int) -> pd.Index:
        """Numbers of the next good rows among all rows of the table."""
        ordinals = np.arange(self._n_good, self._n_good + n_rows)
        before = np.searchsorted(np.array(self._places, dtype=np.int64), ordinals, side="right")
        found = pd.Index(ordinals + self._n_passed + before)
        if n_rows:
            self._n_passed += int(before[-1])
            del self._places[: int(before[-1])]
        self._n_good += n_rows
        return found
