"""How the cells of one column are written as text, as training shows it."""

from dataclasses import dataclass

import numpy as np

from anomdiff.encoding.factors import Factors
from anomdiff.encoding.number_texts import SAME, parse_numbers

__all__ = ["PLAIN", "Spelling"]


@dataclass(frozen=True)
class Spelling:
    """How the cells of one column are written as text.

    Attributes
    ----------
    decimal : {".", ","}
        Decimal mark of numbers.
    unit : str
        Letters that may follow a number, in lower case.
    date_format : str
        Of dates, as for ``strptime``; ``""`` for ISO 8601.
    missing_values : tuple
        Numbers and texts that stand for a missing cell.
    factors : tuple
        Marks that may follow a number, such as per cent, each with what it multiplies by.
    """

    decimal: str = "."
    unit: str = ""
    date_format: str = ""
    missing_values: tuple = ()
    factors: Factors = SAME

    def numbers(self, texts: np.ndarray) -> np.ndarray:
        """Read texts as numbers, NaN where one is none."""
        return parse_numbers(texts, self.decimal, self.unit, self.factors)


PLAIN = Spelling()
