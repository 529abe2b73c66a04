import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.times import later_times

N = 30
STAMPS = pd.date_range("2026-01-31", periods=N, freq="h", tz=None)
TIMES = {
    "timestamps": STAMPS,
    "zoned timestamps": STAMPS.tz_localize("Europe/Oslo"),
    "hours": STAMPS.to_period("h"),
    "durations": STAMPS - STAMPS[0],
    "durations in seconds": (STAMPS - STAMPS[0]).as_unit("s"),
    "months": pd.period_range("2024-01", periods=N, freq="M"),
}
FORMS = {
    "as a dtype": pd.Series,
    "as objects": lambda times: pd.Series(times.tolist(), dtype=object),
}
BY_TIME = pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)


def order(layout, frame):
    return np.concatenate([segment.rows for segment in layout.read(frame)])


@BY_TIME
@pytest.mark.parametrize("as_objects", [False, True])
def test_rows_of_an_index_are_read_in_the_order_of_its_times(times, as_objects):
    index = pd.Index(times.tolist(), dtype=object) if as_objects else times
    frame = pd.DataFrame({"load": np.arange(N)}, index=index)
    layout = PanelLayout.infer(frame)
    shuffled = frame.sample(frac=1, random_state=0)

    assert shuffled["load"].to_numpy()[order(layout, shuffled)].tolist() == list(range(N))


@BY_TIME
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_column_of_times_counts_like_an_index_of_them(times, form):
    by_index = PanelLayout.infer(pd.DataFrame({"load": np.arange(N)}, index=times))
    frame = pd.DataFrame({"t": form(times), "load": np.arange(N)})
    layout = PanelLayout.infer(frame, time="t")

    assert layout.step == by_index.step
    assert len(layout.read(frame)) == 1
    assert len(layout.read(frame.drop(index=range(8, 20)))) == 2  # a gap in time


def test_dates_of_an_index_order_the_rows():
    dates = pd.Index([date.date() for date in pd.date_range("2026-01-01", periods=N)])
    frame = pd.DataFrame({"load": np.arange(N)}, index=dates).sample(frac=1, random_state=0)

    rows = order(PanelLayout.infer(frame), frame)

    assert frame["load"].to_numpy()[rows].tolist() == list(range(N))


@pytest.mark.parametrize("labels", [range(N), [f"r{i}" for i in range(N)], [1.5] * N])
def test_other_labels_of_rows_are_no_times(labels):
    frame = pd.DataFrame({"load": np.arange(N)}, index=labels)

    assert PanelLayout.infer(frame).times(frame) is None


@BY_TIME
def test_a_layout_survives_as_json_values(times):
    frame = pd.DataFrame({"t": times, "load": np.arange(N)})
    layout = PanelLayout.infer(frame, time="t")

    assert PanelLayout.from_dict(layout.to_dict()) == layout


@BY_TIME
def test_later_times_go_on_as_the_times_did(times):
    step = float(np.median(np.diff(times.asi8))) if not isinstance(times, pd.PeriodIndex) else 1.0
    known, wanted = times[:20], times[20:]
    if not isinstance(times, pd.PeriodIndex):
        step *= pd.Timedelta(1, times.unit).as_unit("ns").value

    later = later_times(known, step, len(wanted), whole=True)

    assert later.tolist() == wanted.tolist()


@BY_TIME
def test_rows_with_times_in_one_of_several_levels_are_refused(times):
    rows = pd.MultiIndex.from_arrays([["a"] * N, times], names=["host", "t"])

    with pytest.raises(ValueError, match=r"\['host', 't'\]: call reset_index"):
        PanelLayout.infer(pd.DataFrame({"load": np.arange(N)}, index=rows))


@pytest.mark.parametrize("name", ["anomaly_score", "p_value", "is_anomaly", "channel"])
@pytest.mark.parametrize("role", ["series", "time"])
def test_series_and_time_are_not_named_like_scores(name, role):
    frame = pd.DataFrame({name: np.arange(N), "load": np.arange(N)})

    with pytest.raises(ValueError, match=f"a column of {role} .*got '{name}': rename it"):
        PanelLayout.infer(frame, **{role: name})
