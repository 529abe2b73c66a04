"""Ordinary files that are refused (or read wrongly) without a word on what to do about it."""

import pathlib
import sys
import tempfile
import warnings

import numpy as np
import pandas as pd

from anomdiff.encoding.schema import Schema
from anomdiff.jobs.readers import read_table

home = pathlib.Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
n = 200
rows = pd.DataFrame(
    {
        "t": pd.date_range("2025", periods=n, freq="h").astype(str),
        "a": rng.normal(size=n),
        "b": rng.integers(0, 9, n),
    }
)
comma, semicolon = rows.to_csv(index=False), rows.to_csv(sep=";", index=False)
lines = semicolon.splitlines()
named = rows[["a", "b"]].rename(columns={"a": "Amount (net, USD, abs)"})
files = {
    "two_trailing_separators.csv (UCI AirQuality)": "\n".join(f"{x};;" for x in lines).encode(),
    "trailing_separator_in_rows_only.csv": "\n".join(
        [lines[0], *(f"{x};" for x in lines[1:])]
    ).encode(),
    "excel_sep_line.csv": ("sep=;\n" + "\n".join(lines)).encode(),
    "comment_line.csv": ("# exported\n" + comma).encode(),
    "title_line.csv": ("Report;;\n" + "\n".join(lines)).encode(),
    "space_separated.data": rows.drop(columns="t").to_csv(sep=" ", index=False).encode(),
    "pipe_separated.csv": rows.to_csv(sep="|", index=False).encode(),
    "latin1.csv": rows.rename(columns={"a": "Größe"}).to_csv(index=False).encode("latin-1"),
    "utf16_excel_unicode_text.csv": rows.to_csv(sep="\t", index=False).encode("utf-16"),
    "names_with_commas.csv": named.to_csv(sep=";", index=False).replace('"', "").encode(),
    "duplicate_names.csv (CIC-IDS2017)": ("a,b,a\n" + "1,2,3\n2,3,5\n" * 60).encode(),
    "infinity.csv (CIC-IDS2017)": ("a,b\n" + "1,2\n" * 60 + "inf,3\n").encode(),
    "tab.tsv": rows.to_csv(sep="\t", index=False).encode(),
    "table.txt": comma.encode(),
    "lines.jsonl": rows.to_json(orient="records", lines=True).encode(),
}


def refusal(path):
    """Read a file and find its kinds; give the message of a refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = read_table(path)
            Schema.infer(frame)
    except (ValueError, OSError) as error:
        print("refused", path.name, "|", str(error).replace(f"{home}/", ""))
        return str(error)
    print("read   ", path.name, frame.shape)
    return None


bad = 0
for name, content in files.items():
    path = home / name.split(" ")[0]
    path.write_bytes(content)
    bad += refusal(path) is not None
(home / "months").mkdir()
rows.to_csv(home / "months/2025-01.csv", index=False)
try:
    read_table(home / "months")
except (ValueError, OSError) as error:
    bad += 1
    print("refused folder of csv |", str(error).replace(f"{home}/", ""))
print("FAULT" if bad else "OK", bad)
sys.exit(bool(bad))
