import pytest

from anomdiff import TabularDetector
from tests.tables import mixed_table


@pytest.fixture(scope="session")
def table():
    """A table with every kind of column, dependencies and missing cells."""
    return mixed_table(800, seed=0)


@pytest.fixture(scope="session")
def fitted(table):
    """A detector trained long enough to have learned something; do not change it."""
    return TabularDetector(steps=400, width=64, random_state=0).fit(table)
