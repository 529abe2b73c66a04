import datetime

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.wall_clock import require_zone, zone_of, zones

DAYS = pd.date_range("2025-01-01", periods=200, freq="D", tz="Europe/Berlin")


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (DAYS, {"Europe/Berlin"}),
        (DAYS.tz_localize(None), {""}),
        (DAYS.astype(object), {"Europe/Berlin"}),
        ([DAYS[0], pd.NaT], {"Europe/Berlin"}),
        ([pd.Timestamp("2025-01-01"), DAYS[1]], {"", "Europe/Berlin"}),
        ([datetime.date(2025, 1, 1)], {""}),
        ([each.isoformat() for each in DAYS], {"+01:00", "+02:00"}),
        (["2025-01-01T00:00:00Z", None], {"UTC"}),
        (["2025-01-01 00:00:00+01"], {"+01:00"}),
        (["2025-01-01 00:00:00.25-03"], {"-03:00"}),
        (["2025-01-01", "2025-01-01 10:30"], {""}),
        (["2025-01-01 10:30", "2025-01-01 10:30 UTC"], {"", "UTC"}),
    ],
)
def test_zones_are_those_of_the_type_of_each_cell_or_as_written(cells, found):
    assert zones(pd.Series(cells)) == found


@pytest.mark.parametrize("text", ["2025-01-01T00:00:00Z", "2025-01-01 00:00:00+01"])
def test_the_zone_of_texts_is_one_that_pandas_knows(text):
    zone = zone_of(pd.Series([text]))

    assert DAYS.tz_convert(zone)[0] == DAYS[0]


@pytest.mark.parametrize("trained", ["", "UTC", "Europe/Berlin"])
@pytest.mark.parametrize("scored", ["", "UTC", "Europe/Berlin"])
def test_times_are_refused_where_only_one_side_has_a_zone(trained, scored):
    cells = pd.Series(DAYS.tz_convert(scored) if scored else DAYS.tz_localize(None), name="t")

    if bool(trained) == bool(scored):
        require_zone(cells, trained)
        return
    with pytest.raises(ValueError, match=f"in training.* got .*{scored} in column 't': ") as told:
        require_zone(cells, trained)
    assert "\n" not in str(told.value)


def test_rows_without_dates_are_left_to_others():
    require_zone(None, "UTC")
    require_zone(pd.Series(np.arange(5)), "UTC")
