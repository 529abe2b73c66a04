import pytest

from anomdiff import TabularDetector
from tests.tables import mixed_table

SMALL = {"max_iter": 20, "width": 16, "n_blocks": 1, "n_levels": 3, "random_state": 0}


@pytest.fixture(scope="session")
def table():
    """Rows with every kind of column and missing cells."""
    return mixed_table(200, seed=0)


@pytest.fixture(scope="session")
def detector(table):
    """A detector that has seen the table; do not change it."""
    return TabularDetector(**SMALL).fit(table)


@pytest.fixture
def small():
    """A detector to fit, and quickly."""
    return TabularDetector(**SMALL)
