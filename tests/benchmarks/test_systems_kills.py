"""What the comparison of a killed night with an unbroken one counts."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks.systems import kills


@pytest.fixture
def whole():
    scores = np.random.default_rng(0).normal(size=50)
    return pd.DataFrame({kills.KEY: np.arange(50) + 7, "row": np.arange(50), "score": scores})


def test_the_same_rows_in_any_order_lack_nothing(whole):
    found = whole.sample(frac=1.0, random_state=0)

    assert kills.compared(whole, found) == {"lost": 0, "doubled": 0, "changed": 0}


def test_each_row_that_is_missing_there_twice_or_changed_is_counted(whole):
    found = pd.concat([whole.iloc[3:], whole.iloc[10:12]])
    found.loc[found["row"] == 20, "score"] += 1e-9

    assert kills.compared(whole, found) == {"lost": 3, "doubled": 2, "changed": 1}


@pytest.mark.slow
def test_a_killed_night_goes_on_and_loses_nothing():
    figures = kills.measure(2_000, 2, seed=0)

    nothing = dict.fromkeys(["lost", "doubled", "changed", "left_over"], 0)
    assert {name: figures[name] for name in nothing} == nothing
    assert figures["at_once"] == "one scored, one was told"


def test_a_benchmark_of_systems_that_does_not_exist_is_refused_by_name():
    command = [sys.executable, "-m", "benchmarks.systems", "nights"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "got nights" in done.stderr
