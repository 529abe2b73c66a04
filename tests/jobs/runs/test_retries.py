import pytest

from anomdiff.jobs.errors import BusyError, StoreError
from anomdiff.jobs.exit_codes import ModelError
from anomdiff.jobs.runs import retries
from anomdiff.jobs.runs.retries import retried


@pytest.fixture
def waits(monkeypatch):
    """Waits that were asked for, none of which takes place."""
    found = []
    monkeypatch.setattr("tenacity.nap.time.sleep", found.append)
    return found


class Store:
    """Is away for so many calls, with an error of a kind."""

    def __init__(self, away, kind=StoreError):
        self.away, self.kind, self.calls = away, kind, 0

    def __call__(self, value):
        self.calls += 1
        if self.calls <= self.away:
            raise self.kind("need a store that answers.")
        return 2 * value


@pytest.mark.parametrize(("away", "expected"), [(0, []), (1, [1]), (3, [1, 2, 4])])
def test_waits_double_until_the_store_is_back(waits, away, expected):
    assert retried(3, Store(away), 21) == 42
    assert waits == expected


def test_no_wait_is_longer_than_the_longest(waits):
    retried(8, Store(8), 1)

    assert waits[-2:] == [retries.LONGEST_WAIT] * 2


@pytest.mark.parametrize("times", [0, 2])
def test_a_store_that_stays_away_is_told_after_all_tries(waits, times):
    store = Store(9)
    with pytest.raises(StoreError, match="that answers"):
        retried(times, store, 1)
    assert store.calls == times + 1


@pytest.mark.parametrize("kind", [BusyError, ModelError, ValueError, FileNotFoundError])
def test_what_waiting_does_not_mend_is_told_at_once(waits, kind):
    store = Store(1, kind)
    with pytest.raises(kind):
        retried(5, store, 1)
    assert store.calls == 1
    assert waits == []
