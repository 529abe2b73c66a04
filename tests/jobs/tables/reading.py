"""What a file holds, read whole and in batches."""

from pathlib import Path

import pandas as pd

from anomdiff.jobs.readers import Table, read_table


def assert_read(path: Path, frame: pd.DataFrame, **exactness: bool) -> None:
    """Compare what is read of a file with a frame."""
    for read in whole_and_batches(path):
        pd.testing.assert_frame_equal(read, frame, check_column_type=False, **exactness)


def whole_and_batches(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a file, read at once and some at a time."""
    return read_table(path), pd.concat(Table(path).batches(7))
