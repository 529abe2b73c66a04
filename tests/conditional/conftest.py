"""Detectors that the tests of this room share; do not change them."""

import numpy as np
import pandas as pd
import pytest

from anomdiff import TabularDetector, TimeSeriesDetector
from tests.series import autoregression, panel, waves
from tests.settings import TINY, TINY_LONG
from tests.tables import mixed_table

SHORT = {**TINY, "max_iter": 150, "width": 32}
THREE_LENGTHS = {**TINY, "window_lengths": (8, 32, 64)}


@pytest.fixture(scope="session")
def wide():
    """A detector of one series; do not change it."""
    return TimeSeriesDetector(**THREE_LENGTHS).fit(waves(800, seed=0))


@pytest.fixture(scope="session")
def long():
    """A detector of a panel; do not change it."""
    return TimeSeriesDetector(series="host", time="time", **THREE_LENGTHS).fit(panel(400, seed=0))


@pytest.fixture(scope="session")
def holed():
    """New rows with a third of the cells removed, and the rows as they were."""
    whole = mixed_table(200, seed=7)
    removed = np.random.default_rng(0).random(whole.shape) < 0.3
    return whole.mask(removed), whole


@pytest.fixture(scope="session")
def pair():
    """A detector of two numbers and a flag of which each gives the others away."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=1500)
    table = pd.DataFrame({"x": x, "y": 2 * x + 0.2 * rng.normal(size=1500), "high": x > 0})
    return TabularDetector(**SHORT).fit(table), table


@pytest.fixture(scope="session")
def process():
    """A detector of a stationary process and the process; do not change it."""
    values = autoregression(4000, seed=0)
    return TimeSeriesDetector(**TINY_LONG).fit(values[:3000]), values
