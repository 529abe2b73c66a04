"""Parameters and labels that fit accepts, and save cannot write (TypeError out of json); or that
come back as something else.
"""

import pathlib
import sys
import tempfile
import warnings

import numpy as np
import pandas as pd

import anomdiff

warnings.simplefilter("ignore")

rng = np.random.default_rng(0)
rows = pd.DataFrame(rng.normal(size=(99, 2)), columns=["a", "b"])
settings = {
    "max_iter": 3,
    "width": 8,
    "n_blocks": 1,
    "device": "cpu",
    "progress": False,
    "random_state": 0,
}
place = tempfile.mkdtemp() + "/m"


def saved_table(frame=rows, **parameters):
    """Save a detector of tables."""
    detector = anomdiff.TabularDetector(**{**settings, "alpha": 0.05, **parameters})
    return anomdiff.save(detector.fit(frame), place)


def saved_series(frame=rows, **parameters):
    """Save a detector of series."""
    return anomdiff.save(anomdiff.TimeSeriesDetector(**settings, **parameters).fit(frame), place)


def returns(name, frame=rows, **parameters):
    """A parameter of a detector of tables after saving and loading."""
    return anomdiff.load(saved_table(frame, **parameters)).get_params()[name]


days = pd.date_range("2024", periods=2)
dated = pd.DataFrame({"s": np.repeat(days, 100), "x": rng.normal(size=200)})
checkpoint = pathlib.Path(tempfile.mkdtemp()) / "ck"
tries = {
    "max_iter=np.int64 (RandomizedSearchCV gives these)": (
        lambda: saved_table(max_iter=np.int64(3)),
        None,
    ),
    "alpha=np.float32": (lambda: saved_table(alpha=np.float32(0.05)), None),
    "checkpoint=Path": (lambda: saved_table(checkpoint=checkpoint), None),
    "window_lengths=np.array": (lambda: saved_series(window_lengths=np.array([4, 8])), None),
    "column labels that are dates": (lambda: saved_table(rows.set_axis(days, axis=1)), None),
    "series labels that are dates": (
        lambda: saved_series(dated, series="s", window_lengths=(4, 8)),
        None,
    ),
    "kinds={0: 'number'}": (
        lambda: returns("kinds", rows.set_axis([0, 1], axis=1), kinds={0: "number"}),
        {0: "number"},
    ),
    "random_state=np.int64(3)": (lambda: returns("random_state", random_state=np.int64(3)), 3),
    "a bool alpha in params after load": (lambda: returns("alpha"), 0.05),
}

bad = False
for name, (attempt, want) in tries.items():
    try:
        got = attempt()
    except Exception as error:
        bad = True
        print("FAULT", name, type(error).__name__, str(error)[:90])
        continue
    if want is not None and got != want:
        bad = True
        print("FAULT", name, "comes back as", got)
    else:
        print("ok", name)
print("FAULT" if bad else "OK")
sys.exit(bad)
