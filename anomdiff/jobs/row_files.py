"""Small tables that people read: .csv, .jsonl or .parquet, written in batches and read as text."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from anomdiff.jobs.writers import TableWriter, as_arrow

__all__ = ["ROW_FILES", "RowWriter", "read_text_rows"]

ROW_FILES = (".csv", ".jsonl", ".parquet")


class RowWriter:
    """Write frames into one file of the kind that a suffix names, in the types of a schema.

    The file is there from the first moment on, with its header, even if no row comes.
    """

    def __init__(self, path: Path, schema: pa.Schema, suffix: str):
        self.path, self.schema, self.suffix = path, schema, suffix
        self._table = TableWriter(path, schema) if suffix == ".parquet" else None
        if self._table is None:
            header = pd.DataFrame(columns=schema.names).to_csv(index=False, lineterminator="\n")
            path.write_text(header if suffix == ".csv" else "", encoding="utf-8")

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(self, *error: object) -> None:
        if self._table is not None:
            self._table.__exit__(*error)

    def write(self, frame: pd.DataFrame) -> None:
        """Append the rows of `frame`, which has at least the columns of the schema."""
        if self._table is not None:
            self._table.write(frame)
            return
        arrays = [as_arrow(frame[field.name], field.type) for field in self.schema]
        rows = pa.Table.from_arrays(arrays, schema=self.schema)
        text = _csv(rows) if self.suffix == ".csv" else _json_lines(rows)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)


def read_text_rows(path: Path) -> pd.DataFrame:
    """Read a table of these kinds with all cells as text, None where there is none."""
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
    elif path.suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line]
    else:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False)
        return cells.where(cells != "", None)
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[None if row.get(name) is None else str(row[name]) for name in names] for row in rows]
    return pd.DataFrame(cells, columns=names, dtype=object)


def _csv(rows: pa.Table) -> str:
    return rows.to_pandas(date_as_object=True, integer_object_nulls=True).to_csv(
        index=False, header=False, lineterminator="\n"
    )


def _json_lines(rows: pa.Table) -> str:
    return "".join(
        json.dumps(row, ensure_ascii=False, default=lambda cell: cell.isoformat()) + "\n"
        for row in rows.to_pylist()
    )
