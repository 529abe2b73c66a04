"""Reading a file of JSON lines: one object a line, whose keys are the columns."""

import io
import json
from collections import Counter
from collections.abc import Collection, Hashable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pandas as pd

from anomdiff.jobs.tables.files import EmptyFileError, damaged, open_bytes, require_text
from anomdiff.jobs.tables.options import FileOptions, Name

__all__ = ["JsonLines"]


class JsonLines:
    """A file of JSON lines.

    Objects within objects become columns (`address.city`), lists become text. `names` are the keys
    of all lines, because a key may be missing in most of them.
    """

    def __init__(self, path: Path, options: FileOptions):
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
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield self._record(line, number)

    def _record(self, line: str, number: int) -> dict[str, Any]:
        require_text(line[:4].encode(), self.path)
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number} of {self.path} is no JSON: {error}.") from None
        if not isinstance(record, dict):
            raise ValueError(
                f"need a JSON object in each line; line {number} of {self.path} has "
                f"{type(record).__name__}."
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
