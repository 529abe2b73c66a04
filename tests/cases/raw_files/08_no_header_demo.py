"""A file without a header line (SECOM, SMD, CMAPSS, UCI .data): the first row of numbers is taken
for names - and `make demo` has no way to say so. The tool must notice names that are all numbers,
or offer --no-header in the demo.
"""

import pathlib
import sys
import tempfile

import numpy as np

from anomdiff.jobs.demo import main
from anomdiff.jobs.readers import read_table

rng = np.random.default_rng(0)
home = pathlib.Path(tempfile.mkdtemp())
np.savetxt(home / "x.csv", rng.random((300, 6)), delimiter=",", fmt="%.4f")
frame = read_table(home / "x.csv")
print("names taken:", list(frame.columns), "rows:", len(frame), "of 300")

np.savetxt(home / "z.csv", np.round(rng.random((300, 6))), delimiter=",", fmt="%.4f")
said = ""
try:
    read_table(home / "z.csv")
except ValueError as error:
    said = str(error)
    print("binary columns:", said)
options = [option for parameter in main.params for option in parameter.opts]
print("demo options:", options)

bad = "--header" not in options and "header" not in said
print("FAULT" if bad else "OK")
sys.exit(bool(bad))
