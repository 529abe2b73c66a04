"""Folder of parquet parts: int32 in the first part, a larger int64 in the second.

Source: duckdb/duckdb#1214
Right: Read as the wider integer.
"""

import os
import warnings

import pandas as pd

from anomdiff.jobs.readers import read_table
from tests.cases.common import caught, table, verdict, work_in_own_store

warnings.simplefilter("ignore")
work_in_own_store()

os.mkdir("d")
table(300).astype({"age": "int32"}).to_parquet("d/part-0.parquet", index=False)
wide = table(300).astype({"age": "int64"})
wide.loc[0, "age"] = 3_000_000_000
wide.to_parquet("d/part-1.parquet", index=False)

found, _ = caught(lambda: read_table("d"))

good = isinstance(found, pd.DataFrame) and found["age"].max() == 3_000_000_000
verdict(good, "read" if good else f"refused: {found}")
