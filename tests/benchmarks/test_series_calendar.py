import numpy as np
import pandas as pd

from benchmarks.series import calendar
from tests.settings import TINY_SERIES


def test_faults_change_their_hours_only():
    hours = [pd.date_range(fault.start, periods=fault.hours, freq="h") for fault in calendar.FAULTS]
    planted = hours[0].append(hours[1:])

    normal, faulty = calendar.load_series(0), calendar.load_series(0, calendar.FAULTS)

    changed = (normal["load"] - faulty["load"]).abs() > 1e-9
    assert not changed[~changed.index.isin(planted)].any()
    assert all(changed[each].mean() > 0.3 for each in hours)
    np.testing.assert_array_equal(normal["outdoor"], faulty["outdoor"])


def test_alarms_and_found_faults_are_counted_by_method():
    rates = calendar.measure(1, 1, TINY_SERIES, methods=("load", "all"))

    assert rates.groupby("method").size().tolist() == [2 + len(calendar.FAULTS)] * 2
    assert rates["rate"].between(0, 1).all()
    line = calendar.summary(rates)
    assert line.startswith("calendar | load: alarms 0.")
    assert line.endswith("| series 1")
