"""Folders of parquet as Spark and pandas leave them: partition columns, files whose types differ (a
column all missing one day; ints one day, floats the next), Spark's bytes text, nested and list
columns, date out of range.
"""

import datetime as dt
import decimal
import pathlib
import sys
import tempfile
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from anomdiff.encoding.schema import Schema
from anomdiff.jobs.readers import read_table

home = pathlib.Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
n = 200
rows = pd.DataFrame(
    {
        "region": rng.choice(["n", "s"], n),
        "a": rng.normal(size=n),
        "k": rng.integers(0, 9, n),
    }
)
bad = []


def show(name, path, want=None):
    """Read a file or folder; note it where it is refused or columns are lost."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = read_table(path)
            schema = Schema.infer(frame)
    except Exception as error:
        bad.append(name)
        print("refused", name, "|", type(error).__name__, str(error)[-160:])
        return
    print("read   ", name, frame.shape, {column.name: column.kind for column in schema.columns})
    if want and not want <= set(frame.columns):
        bad.append(name)
        print("    -> columns lost without a word:", want - set(frame.columns))


def days(name, frames):
    """A folder with one file for each frame."""
    (home / name).mkdir()
    for i, frame in enumerate(frames):
        frame.to_parquet(home / name / f"{i}.parquet", index=False)
    show(name, home / name)


def one(name, column):
    """A file with a column of an unusual type."""
    pq.write_table(pa.table({"a": pa.array(rows["a"]), "x": column}), home / "one.parquet")
    show(name, home / "one.parquet")


rows.to_parquet(home / "hive", partition_cols=["region"])
show("hive partitions (region=n/...)", home / "hive", {"region"})

region, k = rows["region"], rows["k"]
coarse, fine = (
    pd.Timestamp("2025-01-01").as_unit("us"),
    pd.Timestamp("2025-01-01 00:00:00.000000001"),
)
naive, aware = pd.Timestamp("2025-01-01"), pd.Timestamp("2025-01-01", tz="UTC")
days("a column all missing on the first day", [rows.assign(note=None), rows.assign(note="x")])
days("ints on the first day, floats (1.5) on the next", [rows, rows.assign(k=k + 0.5)])
days("ints on the first day, missing on the next", [rows, rows.assign(k=k.where(k > 2))])
days(
    "text on the first day, category on the next",
    [rows, rows.assign(region=region.astype("category"))],
)
days("an extra column on the second day", [rows, rows.assign(new=1)])
days("a column less on the second day", [rows, rows.drop(columns="k")])
days("timestamps in us, then in ns", [rows.assign(t=coarse), rows.assign(t=fine)])
days("naive times, then UTC", [rows.assign(t=naive), rows.assign(t=aware)])

late = [1608806400000000] * n
one("list<double>", pa.array([[1.0, 2.0]] * n))
one("struct", pa.array([{"u": 1}] * n))
one("map", pa.array([[("k", 1)]] * n, pa.map_(pa.string(), pa.int64())))
one(
    "decimal(38,18)",
    pa.array([decimal.Decimal("1.000000000000000001")] * n, pa.decimal128(38, 18)),
)
one("decimal256", pa.array([decimal.Decimal("1.5")] * n, pa.decimal256(50, 3)))
one(
    "timestamp[us, Europe/Berlin]",
    pa.array([dt.datetime(2025, 1, 1)] * n, pa.timestamp("us", "Europe/Berlin")),
)
one("date32", pa.array([dt.date(2025, 1, 1)] * n))
one("date32 9999-12-31", pa.array([dt.date(9999, 12, 31)] * n))
one("date32 0001-01-01", pa.array([dt.date(1, 1, 1)] * n))
one("time64", pa.array([dt.time(1, 2, i % 60) for i in range(n)]))
one("duration", pa.array([dt.timedelta(1)] * n))
one("binary text", pa.array([b"abc"] * n))
one("timestamp ms year 52951", pa.array(late, pa.timestamp("ms")))
one("timestamp ms tz year 52951", pa.array(late, pa.timestamp("ms", "UTC")))
one("dictionary", pa.array(["a", "b"] * (n // 2)).dictionary_encode())
one("bool with null", pa.array([True, None] * (n // 2)))
one("uint64 max", pa.array([2**64 - 1] * n, pa.uint64()))
one("null type", pa.nulls(n))
one("large_string", pa.array(["a"] * n, pa.large_string()))
one("float16", pa.array(np.ones(n, np.float16)))
print("FAULT" if bad else "OK", bad)
sys.exit(bool(bad))
