"""What a cell of a text file looks like: a number, a date, nothing, or other text."""

import re
from collections.abc import Iterable

from anomdiff.encoding.parsing import MISSING_MARKERS

__all__ = [
    "DECIMAL_COMMA",
    "DECIMAL_POINT",
    "INFINITE",
    "common_look",
    "is_fraction",
    "is_whole",
    "look",
]

MISSING = MISSING_MARKERS | {"none", "nat"}  # as cells of a file; "none" may be a category
INFINITE = r"[-+]?inf(?:inity)?"
GROUPED = r"\d{1,3}(?:[., '\u00a0\u202f]\d{3})+(?:[.,]\d+)?"
NUMBER = re.compile(
    rf"[-+<>]?\s?[$\u20ac\u00a3]?\s?[-+]?(?:{GROUPED}|\d+[.,]?\d*|[.,]\d+)(?:e[-+]?\d+)?"
    rf"\s?[%$\u20ac\u00a3]?|{INFINITE}",
    re.IGNORECASE,
)
CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?(?:Z| ?[-+]\d{2}:?\d{2})?"
DATE = re.compile(rf"(?:\d{{1,4}}([-/.])\d{{1,2}}\1\d{{1,4}}(?:[T ]{CLOCK})?|{CLOCK})")
DECIMAL_COMMA = re.compile(r"[-+]?(?:\d{1,3}(?:\.\d{3})+|\d*),\d+(?:[eE][-+]?\d+)?")
DECIMAL_POINT = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d*)\.\d+(?:[eE][-+]?\d+)?")
WHOLE = re.compile(r"[-+]?\d+")
ENOUGH = 0.8  # of the cells of a column, for it to look like them


def look(cell: str) -> str:
    """Look of a cell: "number", "date", "missing" or "text"."""
    cell = cell.strip()
    if cell.lower() in MISSING:
        return "missing"
    if NUMBER.fullmatch(cell):
        return "number"
    return "date" if DATE.fullmatch(cell) else "text"


def common_look(cells: Iterable[str], share: float = ENOUGH) -> str:
    """Look that at least a share of the cells of a column have; "missing" if all cells are."""
    looks = [found for found in map(look, cells) if found != "missing"]
    if not looks:
        return "missing"
    for kind in ("number", "date"):
        if looks.count(kind) >= share * len(looks):
            return kind
    return "text"


def is_whole(cell: str) -> bool:
    """Whether a cell is a whole number in digits."""
    return bool(WHOLE.fullmatch(cell.strip()))


def is_fraction(cell: str) -> bool:
    """Whether a cell is a number with a decimal mark."""
    cell = cell.strip()
    return bool(DECIMAL_POINT.fullmatch(cell) or DECIMAL_COMMA.fullmatch(cell))
