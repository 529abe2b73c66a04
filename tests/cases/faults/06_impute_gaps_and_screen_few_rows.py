"""impute leaves gaps in a categorical of dates; impute of an array with zoned dates; screen of
4 rows: RuntimeError ZeroDivisionError; device errors.
"""

import sys
import warnings

import numpy as np
import pandas as pd

import anomdiff

warnings.simplefilter("ignore")

rng = np.random.default_rng(0)
settings = {
    "max_iter": 3,
    "width": 8,
    "n_blocks": 1,
    "progress": False,
    "random_state": 0,
    "alpha": 0.05,
}


def detector(**parameters):
    return anomdiff.TabularDetector(**{**settings, "device": "cpu", **parameters})


rows = pd.DataFrame(
    {
        "a": rng.normal(size=60),
        "d": pd.Categorical(pd.to_datetime(rng.choice(["2024-01-01", "2024-02-01"], 60))),
    }
)
holes = rows.head(6).copy()
holes.loc[2:4, "d"] = None
start = pd.Timestamp("2024-01-01", tz="Europe/Oslo")
zoned = np.array([[1.5 * i, start + pd.Timedelta(i, "h")] for i in range(30)], dtype=object)
zoned_holes = zoned[:3].copy()
zoned_holes[0, 1] = None


def screen_four_rows():
    for seed in range(8):
        four = pd.DataFrame({"a": rng.normal(size=4), "b": rng.normal(size=4)})
        detector(random_state=seed).screen(four)
    return True


tries = {
    "impute categorical of dates: no gap left": lambda: bool(
        detector().fit(rows).impute(holes)["d"].notna().all()
    ),
    "impute array with zoned dates": lambda: len(detector().fit(zoned).impute(zoned_holes)) == 3,
    "screen of 4 rows": screen_four_rows,
    "device='gpu'": lambda: detector(device="gpu").fit(rows),
    "device='cuda' without one": lambda: detector(device="cuda").fit(rows),
}

bad = False
for name, attempt in tries.items():
    try:
        got = attempt()
        wrong, shown = got is not True, str(got)
    except (ValueError, TypeError, OSError) as error:  # a refusal, in its own words
        wrong = "Cannot mix" in str(error)
        shown = f"{type(error).__name__} {str(error)[:80]}"
    except Exception as error:
        wrong, shown = True, f"{type(error).__name__} {str(error)[:80]}"
    bad |= wrong
    print("FAULT" if wrong else "ok   ", name, shown, flush=True)
print("FAULT" if bad else "OK")
sys.exit(bad)
