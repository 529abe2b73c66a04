"""Folder of parquet parts: whole numbers in the first part, fractions in the second.

Source: apache/arrow#12416, CDCgov/cfa-stf-routine-forecasting#994
Right: Read as float; both parts are healthy and hold numbers.
"""

import os
import warnings

import pandas as pd

from anomdiff.jobs.readers import read_table
from tests.cases.common import caught, table, verdict, work_in_own_store

warnings.simplefilter("ignore")
work_in_own_store()

os.mkdir("d")
table(300).to_parquet("d/part-0.parquet", index=False)
table(300).assign(age=lambda t: t["age"] + 0.5).to_parquet("d/part-1.parquet", index=False)

found, _ = caught(lambda: read_table("d"))

whole = isinstance(found, pd.DataFrame) and len(found) == 600
good = whole and float(found["age"].iloc[-1]) % 1 == 0.5
verdict(good, "read as float" if good else f"refused: {found}")
