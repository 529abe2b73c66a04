"""The values of a JSON text, and the rows that one value alone may hold."""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from anomdiff.jobs.stores.locations import FilePath

__all__ = ["page_key", "place_values", "rows_of_document"]

MIN_PIECE = 65_536  # characters
BETWEEN = re.compile(r"[\s,]*")


def place_values(lines: Iterable[str], path: FilePath) -> Iterator[tuple[str, Any]]:
    """Yield where each value stands, and the value: one a line, of an array, or one after another.

    Memory holds one value and a piece of the text.
    """
    rest = iter(lines)
    first = next(rest, "")
    n_blank = 0
    while first and not first.strip():
        first, n_blank = next(rest, ""), n_blank + 1
    if isinstance(_loaded(first), dict):
        return _of_lines(enumerate(chain([first], rest), start=n_blank + 1), path)
    return _of_text(chain([first], rest), path, n_blank)


def rows_of_document(value: Any, *, has_metadata: bool) -> list[Any]:
    """Rows that one value holds, itself if it holds none.

    They are those of `{"data": [...]}` or of pandas' "split" and "columns"; where a document
    `has_metadata` beside them (it is no line of many), also those of the only list of objects, and
    of equally long lists of cells.
    """
    if not isinstance(value, dict) or not value:
        return [value]
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list) and _are_all(data, list):
        return [dict(zip(map(str, columns), cells, strict=False)) for cells in data]
    cells = list(value.values())
    if _are_all(cells, dict) and all(each.keys() == cells[0].keys() for each in cells):
        if cells[0] and all(key.isdecimal() for key in cells[0]):
            return [{name: value[name][key] for name in value} for key in cells[0]]
    if not has_metadata:
        return [value]
    tables = [each for each in cells if _are_all(each, dict)]
    if len(tables) == 1:
        return tables[0]
    if _are_all(cells, list) and len(set(map(len, cells))) == 1 and not tables:
        return [dict(zip(value, row, strict=True)) for row in zip(*cells, strict=True)]
    return [value]


def page_key(value: Any) -> str | None:
    """Key of an object that holds nothing but a list of objects; None if it holds another thing."""
    if isinstance(value, dict) and len(value) == 1:
        key, held = next(iter(value.items()))
        return key if _are_all(held, dict) else None
    return None


def _are_all(values: Any, kind: type) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(v, kind) for v in values)


def _loaded(line: str) -> Any:
    try:
        return json.loads(line.strip().rstrip(","))
    except json.JSONDecodeError:
        return None


def _of_lines(numbered: Iterable[tuple[int, str]], path: FilePath) -> Iterator[tuple[str, Any]]:
    for number, line in numbered:
        text = line.strip()
        if text:
            try:
                value = json.loads(text.removesuffix(","))
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number} of {path} is no JSON: {error}.") from None
            yield f"line {number}", value


def _of_text(pieces: Iterable[str], path: FilePath, n_lines: int) -> Iterator[tuple[str, Any]]:
    """Yield the values of a text; those of an array at its top one by one."""
    decoder = json.JSONDecoder()
    source = iter(pieces)
    text, number, in_array = "", 0, False
    while True:
        more = _read(source, max(MIN_PIECE, len(text)))
        text += more
        at = _skipped(text, 0)
        if number == 0 and not in_array and text[at : at + 1] == "[":
            at, in_array = _skipped(text, at + 1), True
        while at < len(text):
            if in_array and text[at] == "]":
                at, in_array = _skipped(text, at + 1), False
                continue
            try:
                value, end = decoder.raw_decode(text, at)
            except json.JSONDecodeError as error:
                if more:
                    break
                line = n_lines + error.lineno
                raise ValueError(f"line {line} of {path} is no JSON: {error.msg}.") from None
            number += 1
            yield f"row {number}", value
            at = _skipped(text, end)
        if not more:
            break
        n_lines += text.count("\n", 0, at)
        text = text[at:]
    if in_array:
        raise ValueError(f"{path} is no JSON: its array has no end.")


def _read(pieces: Iterator[str], size: int) -> str:
    found, length = [], 0
    for piece in pieces:
        found.append(piece)
        length += len(piece)
        if length >= size:
            break
    return "".join(found)


def _skipped(text: str, at: int) -> int:
    """Position of the next value."""
    between = BETWEEN.match(text, at)
    return between.end() if between else at
