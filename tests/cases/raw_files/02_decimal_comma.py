"""Numbers with a decimal comma (the European CSV: ';' and '2,6') must be read as numbers, or the
job must say that they are not.
"""

import pathlib
import sys
import tempfile
import warnings

import numpy as np
import pandas as pd

from anomdiff.encoding.schema import Schema
from anomdiff.jobs.readers import read_table

file = pathlib.Path(tempfile.mkdtemp()) / "x.csv"
rng = np.random.default_rng(0)
n = 600
rows = pd.DataFrame(
    {
        "temp": rng.normal(20, 4, n).round(1),
        "hum": rng.normal(50, 9, n).round(1),
        "code": rng.integers(0, 5, n),
    }
)
rows.to_csv(file, sep=";", decimal=",", index=False)
print(file.read_text()[:60])

frame = read_table(file)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    schema = Schema.infer(frame)

kinds = {column.name: column.kind for column in schema.columns}
said = [str(warning.message) for warning in said]
print(kinds, said)
ok = kinds["temp"] == "number" or any("temp" in text for text in said)
print("OK" if ok else "FAULT")
sys.exit(not ok)
