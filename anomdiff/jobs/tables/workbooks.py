"""Reading the first sheet of an Excel workbook."""

import importlib.util
import io
from collections import Counter
from collections.abc import Collection, Hashable, Iterator

import pandas as pd

from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.tables import layout as layouts
from anomdiff.jobs.tables.files import EmptyFileError, damaged, open_bytes
from anomdiff.jobs.tables.options import FileOptions, Name

__all__ = ["Workbook"]

N_SAMPLE = 1000  # rows among which a header is looked for


class Workbook:
    """The first sheet of a workbook, with its header found as in a text file.

    `names` are those of its columns.
    """

    def __init__(self, path: FilePath, options: FileOptions):
        self.path = path
        if importlib.util.find_spec("python_calamine") is None:
            raise ValueError(
                f"need python-calamine for {path}; install it with `pip install anomdiff[excel]`."
            )
        cells = self._cells().iloc[options.skip_lines or 0 :]
        sample = cells.head(N_SAMPLE).astype(object)
        records = sample.where(sample.notna(), "").map(lambda cell: str(cell).strip())
        rows = records.to_numpy(dtype=object).tolist()
        if not any(map(any, rows)):
            raise EmptyFileError(f"need at least one row; {path} is an empty sheet.")
        titles = options.skip_lines is None
        found = layouts.find_layout(rows, header=options.header, titles=titles)
        header = layouts.header_names(rows, found)
        self.n_titles = found.header[0] if found.header else found.n_above
        self.infinite: Counter[Hashable] = Counter()  # cells have types
        self.has_header, self.guessed_header = bool(header), options.header is None
        names, self.repeated = layouts.distinct_names(layouts.blank_names(header))
        self.names: list[Name] = names or list(range(cells.shape[1]))
        self._frame = _typed(cells.iloc[found.n_above :], self.names)
        if self._frame.empty:
            raise EmptyFileError(f"need at least one row; {path} is an empty table.")

    def describe(self) -> str:
        """What is not as in a sheet with a header in its first line."""
        said = [
            f"{self.n_titles} lines above the header" if self.n_titles else "",
            "" if self.has_header else "no header line",
        ]
        return ", ".join(filter(None, said))

    def read(self, text: Collection[Name] = (), mixed: Collection[Name] = ()) -> pd.DataFrame:
        """Read all rows; the cells of a sheet have their types."""
        return self._frame

    def batches(self, batch_size: int, text: Collection[Name] = ()) -> Iterator[pd.DataFrame]:
        """Yield the rows in batches of the sheet, which is in memory."""
        for start in range(0, len(self._frame), batch_size):
            yield self._frame.iloc[start : start + batch_size]

    def _cells(self) -> pd.DataFrame:
        with damaged(self.path), open_bytes(self.path) as handle:
            content = io.BytesIO(handle.read())
        try:
            return pd.read_excel(content, header=None, dtype=object, engine="calamine")
        except Exception as error:  # the reader's own kinds of errors
            raise ValueError(f"need an Excel workbook; {self.path} is none: {error}.") from None


def _typed(cells: pd.DataFrame, names: list[Name]) -> pd.DataFrame:
    """Rows in the types that their cells have; times of the day are seconds."""
    filled = cells.notna().any(axis=1).to_numpy()
    n_rows = filled.nonzero()[0][-1] + 1 if filled.any() else 0  # sheets end with blank rows
    rows = cells.iloc[:n_rows, : len(names)].set_axis(names, axis=1)
    frame = rows.reset_index(drop=True).infer_objects()
    for name in names:
        kind = pd.api.types.infer_dtype(frame[name], skipna=True)
        if kind in ("time", "timedelta", "timedelta64"):
            texts = frame[name].astype("string")
            frame[name] = pd.to_timedelta(texts).dt.total_seconds().astype(float)
    return frame
