"""The detector of the tables whose alarms are looked at."""

import pytest

from anomdiff import TabularDetector
from tests.settings import TINY
from tests.tables import mixed_table


@pytest.fixture(scope="session")
def detector():
    """A detector of a table; do not change it."""
    return TabularDetector(**TINY).fit(mixed_table(400, seed=0))
