import numpy as np
import pandas as pd
import pytest

from benchmarks.systems import drift
from tests.settings import TINY
from tests.tables import mixed_table


@pytest.fixture
def folder(tmp_path):
    """Four quarters of the same loans; the price moves in the last one."""
    (tmp_path / "mixed").mkdir()
    loans = mixed_table(1200, seed=0).drop(columns="sold")
    loans["Default"] = np.where(np.arange(1200) % 6 == 0, "Yes", "No")
    for name in drift.QUARTERS:
        moved = 200 if name == drift.QUARTERS[-1] else 0
        table = loans.assign(price=loans["price"] + moved)
        table.to_csv(tmp_path / "mixed" / f"{name}.csv", index=False)
    return tmp_path


def test_a_normal_loan_has_a_part_in_one_quarter_only(folder):
    quarters = drift.Quarters.read(folder, seed=1)

    assert sorted(np.concatenate(quarters.parts)) == list(np.flatnonzero(~quarters.defaulted))
    assert len(quarters.parts) == len(drift.QUARTERS) + 1
    recent = quarters.recent(1, seed=0)
    assert len(recent) == len(quarters.parts[1]) + round(0.02 / 0.98 * len(quarters.parts[1]))
    assert "Default" not in recent


@pytest.mark.slow
def test_every_figure_is_there_and_only_the_quarter_that_moved_is_found(folder):
    rows = drift.measure(folder, 0, 20, {**TINY, "alpha": 0.05})

    table = pd.DataFrame(rows, columns=drift.COLUMNS)
    found = table[table["measure"] == "drifted"].set_index("quarter")["value"]
    assert found.to_dict() == {2: 0.0, 3: 0.0, 4: 1.0}
    assert drift.line(table).startswith("drift | found 1/3 false alarms 0.0")
