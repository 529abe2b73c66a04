"""Folder partitioned by a column, as pandas, Spark and Arrow write it.

Source: dask/dask#7600, apache/arrow#11826
Right: The column comes back, or the job says that it is not read.
"""

import warnings

import pandas as pd

from anomdiff.jobs.readers import read_table
from tests.cases.common import caught, table, verdict, work_in_own_store

warnings.simplefilter("ignore")
work_in_own_store()

table(600).to_parquet("d", partition_cols=["kind"], index=False)

found, said = caught(lambda: read_table("d"))

good = not isinstance(found, pd.DataFrame) or "kind" in found.columns or bool(said)
verdict(good, f"columns read: {list(getattr(found, 'columns', [found]))}; warnings: {said}")
