"""Lines and borders that psql, mysql and Markdown draw around the cells of a table."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

__all__ = ["Drawing", "find_drawing", "undrawn"]

N_LOOKED_AT = 20  # lines among which the line below the header is looked for
# With borders, or of two dashes at least: a single dash is a missing cell.
BORDERED = re.compile(r"[|+] *:?-+:? *(?:[|+] *:?-+:? *)*[|+]")
OPEN = re.compile(r":?--+:? *(?:[|+] *:?--+:? *)+")
CELLS = re.compile(r"(?<!\\)\|")  # Markdown writes a bar within a cell as \|


class Drawing(NamedTuple):
    """The drawn line below the header, and whether rows begin and end with a bar."""

    rule: str
    bordered: bool


def find_drawing(lines: Sequence[str]) -> Drawing | None:
    """Find the line that is drawn below the header, with as many columns as the header has."""
    for i, line in enumerate(lines[:N_LOOKED_AT]):
        rule = line.strip()
        bordered = bool(BORDERED.fullmatch(rule))
        if not bordered and not OPEN.fullmatch(rule):
            continue
        around = [lines[j] for j in (i - 1, i + 1) if 0 <= j < len(lines) and lines[j].strip()]
        bars = len(re.findall(r"[|+]", rule))
        if around and len(CELLS.findall(around[0])) == bars:
            return Drawing(rule, bordered)
    return None


def undrawn(lines: Iterable[str], drawing: Drawing) -> Iterator[str]:
    r"""Yield lines of cells between bars, blank ones in place of those that are drawn.

    Examples
    --------
    >>> drawn = ["| a | b |\n", "|---|---|\n", "| 1 | x y |\n"]
    >>> list(undrawn(drawn, Drawing("|---|---|", bordered=True)))
    ['a|b\n', '\n', '1|x y\n']
    """
    for line in lines:
        body = line.strip()
        end = line[len(line.rstrip("\r\n")) :]
        if body == drawing.rule:
            yield end
            continue
        if drawing.bordered and len(body) > 1 and body[0] == body[-1] == "|":
            body = body[1:-1]
        elif "|" in body:
            body = line[: len(line) - len(end)]
        yield "|".join(map(_cell, CELLS.split(body))) + end


def _cell(text: str) -> str:
    """Cell without the blanks around it, quoted where it holds what stands between cells."""
    cell = text.strip().replace("\\|", "|")
    return '"' + cell.replace('"', '""') + '"' if "|" in cell or '"' in cell else cell
