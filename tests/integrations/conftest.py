import pytest

from anomdiff import TabularDetector
from tests.settings import TINY
from tests.tables import mixed_table

ALPHA = 0.05  # 200 rows have too few held-out ones for the default


@pytest.fixture(scope="session")
def table():
    """Rows with every kind of column and missing cells."""
    return mixed_table(200, seed=0)


@pytest.fixture(scope="session")
def detector(table):
    """A detector fitted to the table; do not change it."""
    return TabularDetector(**TINY, alpha=ALPHA).fit(table)


@pytest.fixture
def small():
    """A detector to fit, and quickly."""
    return TabularDetector(**TINY, alpha=ALPHA)
