"""Reading a file of JSON: objects, one a line or in an array, whose keys are the columns."""

import io
import json
import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterator
from itertools import chain, islice
from typing import Any

import pandas as pd

from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.tables.files import EmptyFileError, damaged, open_bytes, require_text
from anomdiff.jobs.tables.json_values import page_key, place_values, rows_of_document
from anomdiff.jobs.tables.options import FileOptions, Name

__all__ = ["JsonLines"]


LINES = re.compile(r"\.(?:jsonl|ndjson)\b")  # suffixes of files with one object a line


class JsonLines:
    """A file of JSON objects, or of one object that holds them (`{"data": [...]}`).

    Objects within objects become columns (`address.city`), lists become text. `names` are the keys
    of all rows, because a key may be missing in most of them.
    """

    def __init__(self, path: FilePath, options: FileOptions):
        self.path = path
        self.repeated: list[Name] = []
        self.has_header, self.guessed_header = True, False
        self.infinite: Counter[Hashable] = Counter()  # JSON writes them as numbers
        self.encoding = options.encoding or "utf-8-sig"
        self.names: list[Name] = list(dict.fromkeys(chain.from_iterable(self._records())))
        if not self.names:
            raise EmptyFileError(f"need at least one row; {path} is an empty file.")

    def describe(self) -> str:
        """What is not plain: nothing."""
        return ""

    def read(self, text: Collection[Name] = (), mixed: Collection[Name] = ()) -> pd.DataFrame:
        """Read all rows; JSON says itself what is text."""
        return pd.DataFrame(list(self._records()), columns=self.names)

    def batches(self, batch_size: int, text: Collection[Name] = ()) -> Iterator[pd.DataFrame]:
        """Yield the rows in batches."""
        records = self._records()
        while some := list(islice(records, batch_size)):
            yield pd.DataFrame(some, columns=self.names)

    def _records(self) -> Iterator[dict[str, Any]]:
        with damaged(self.path), open_bytes(self.path) as handle:
            lines = io.TextIOWrapper(handle, self.encoding)
            values = place_values(self._text(lines), self.path)
            some = list(islice(values, 2))
            if len(some) == 1:
                has_metadata = not LINES.search(self.path.name.lower())
                rows = rows_of_document(some[0][1], has_metadata=has_metadata)
                some = [(some[0][0], row) for row in rows]
            key = page_key(some[0][1]) if some else None
            for place, value in chain(some, values):
                is_page = key is not None and page_key(value) == key
                for row in value[key] if is_page else [value]:
                    yield self._record(row, place)

    def _text(self, lines: Iterator[str]) -> Iterator[str]:
        first = next(lines, "")
        require_text(first[:4].encode(), self.path)
        yield from chain([first], lines)

    def _record(self, record: Any, place: str) -> dict[str, Any]:
        if not isinstance(record, dict):
            where = "in each line" if place.startswith("line") else "for each row"
            raise ValueError(
                f"need a JSON object {where}; {place} of {self.path} has "
                f"{type(record).__name__}: write the names beside the values."
            )
        return dict(_flat(record, ""))


def _flat(record: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield (
                prefix + key,
                json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value,
            )
