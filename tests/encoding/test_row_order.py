"""Which columns advance with the rows, and what order rows have."""

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.row_order import find_order
from benchmarks.tables.later_rows import ADVANCING, DRIFTING, stationary

N = 1500
START = pd.DatetimeIndex(["2023-01-02"])


def cells(frame):
    return {name: frame[name].to_numpy() for name in frame}


def ordered(column, n=N):
    frame = stationary(n, seed=3).astype({"kind": object})
    made = ADVANCING[column](frame)
    made = made.to_numpy() if isinstance(made, pd.Index) else np.asarray(made)
    if made.dtype.kind in "UT":
        made = made.astype(object)
    return {**cells(frame), "when": made}


NUMBERS = [
    name
    for name in ADVANCING
    if not name.startswith(("date ", "month as text", "invoice", "session"))
]


@pytest.mark.parametrize("column", NUMBERS)
def test_numbers_and_timestamps_that_advance_are_found_and_nothing_else(column):
    assert find_order(ordered(column)).advancing == {"when"}


@pytest.mark.parametrize("column", ["month as text", "session id, 20 rows each"])
def test_texts_that_keep_being_new_are_found(column):
    assert find_order(ordered(column, 4 * N)).advancing == {"when"}


@pytest.mark.parametrize("column", NUMBERS)
def test_shuffled_rows_have_no_order_but_that_of_their_dates(column):
    columns = ordered(column)
    places = np.random.default_rng(0).permutation(N)
    shuffled = {name: found[places] for name, found in columns.items()}

    order = find_order(shuffled)

    if column in ("timestamp", "epoch seconds", "date as a number"):
        assert order.advancing == {"when"}
        assert (np.diff(shuffled["when"][order.places].astype("int64")) >= 0).all()
    else:
        assert not order.advancing
        assert order.places is None


@pytest.mark.parametrize("column", ["epoch seconds", "date as a number"])
def test_numbers_that_are_dates_tell_the_order_of_shuffled_rows(column):
    columns = ordered(column)
    places = np.random.default_rng(0).permutation(N)
    shuffled = {name: found[places] for name, found in columns.items()}

    assert find_order(shuffled).advancing == {"when"}


def test_an_id_is_seen_to_advance_with_the_dates_of_shuffled_rows():
    places = np.random.default_rng(0).permutation(N)
    frame = stationary(N).assign(when=pd.date_range("2025", periods=N, freq="h"), id=np.arange(N))

    order = find_order(cells(frame.iloc[places].astype({"kind": object})))

    assert order.advancing == {"when", "id"}


@pytest.mark.parametrize(
    "sorted_cells",
    [
        np.sort(np.random.default_rng(0).integers(18, 90, N)),
        np.repeat(np.arange(30), N // 30),
        np.repeat(np.random.default_rng(0).permutation([f"P{i:03}" for i in range(30)]), N // 30),
        np.repeat([f"city {chr(97 + i)}" for i in range(10)], N // 10),
        np.sort(np.random.default_rng(0).lognormal(3, 1, N))
        + np.random.default_rng(1).normal(0, 0.5, N),
        10 - 20 * np.cos(np.arange(N) / N * 2.5) + np.random.default_rng(1).normal(0, 1, N),
    ],
    ids=["age", "shop", "code", "city", "nearly sorted", "warming"],
)
def test_sorted_and_grouped_columns_and_noisy_ones_are_kept(sorted_cells):
    kind = object if sorted_cells.dtype.kind == "U" else float

    order = find_order(
        cells(stationary(N).assign(c=sorted_cells).astype({"kind": object, "c": kind}))
    )

    assert not order.advancing


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("year", lambda days: days.year),
        ("any name", lambda days: days.year),
        ("month", lambda days: np.minimum(np.arange(N) * 9 // N, 8) + 1),
    ],
)
def test_years_that_never_step_back_and_named_months_tell_the_order(name, label):
    days = pd.date_range("2022-06-01", periods=N, freq="D")
    frame = stationary(N).assign(**{name: label(days)}).astype({"kind": object})

    assert find_order(cells(frame)).advancing == {name}


@pytest.mark.parametrize("sort_by", ["x", "amount", "kind"])
def test_a_file_sorted_by_what_it_tells_of_rows_has_no_order_in_time(sort_by):
    frame = stationary(N, seed=1).sort_values(sort_by, kind="stable").astype({"kind": object})

    order = find_order(cells(frame))

    assert not order.advancing
    assert order.places is None


@pytest.mark.parametrize(
    "label",
    [
        lambda days: days.year,
        lambda days: days.isocalendar().week.to_numpy(),
        lambda days: days.strftime("%Y-Q") + days.quarter.astype(str),
        lambda days: days.month_name(),
    ],
    ids=["year", "week", "quarter", "month"],
)
def test_years_weeks_and_quarters_advance_with_the_dates(label):
    days = pd.date_range("2023-01-02", periods=N, freq="6h" if label(START)[0] != 2023 else "D")
    made = np.asarray(label(days))
    made = made.astype(object) if made.dtype.kind in "UTO" else made

    frame = {**cells(stationary(N).astype({"kind": object})), "when": days.to_numpy(), "at": made}

    assert find_order(frame).advancing == {"when", "at"}


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize("dated", [False, True, "by meter"])
def test_readings_advance_where_those_of_each_meter_do(dated, numbered):
    rng = np.random.default_rng(0)
    meter = rng.integers(0, 4, 4 * N)
    start = np.array([1e3, 5e3, 2e4, 7e4])[meter]
    frame = stationary(4 * N).assign(meter=np.array(list("abcd"))[meter])
    frame["reading"] = start + np.arange(4 * N) * 0.1 * (1 + meter) + rng.random(4 * N)
    if numbered:
        frame["meter"] = meter
    if dated == "by meter":
        frame = frame.sort_values("meter", kind="stable")
    elif dated:
        frame["when"] = pd.date_range("2025", periods=4 * N, freq="h")

    kinds = {"kind": object, "meter": float if numbered else object}
    order = find_order(cells(frame.astype(kinds)))

    assert order.advancing == {"reading", "when"} & set(frame)
    assert not order.disagreeing


def test_a_flag_that_was_switched_on_stays():
    frame = stationary(N).assign(when=pd.date_range("2025", periods=N, freq="h"))
    frame["new_form"] = np.arange(N) > N / 2

    order = find_order(cells(frame.astype({"kind": object, "new_form": float})))

    assert order.advancing == {"when"}


def test_dates_of_birth_are_no_order():
    rng = np.random.default_rng(0)
    born = np.datetime64("1940-01-01") + rng.integers(0, 60 * 365, N)
    frame = {**cells(stationary(N).astype({"kind": object})), "born": born.astype("datetime64[ns]")}

    assert not find_order(frame).advancing
    assert find_order({**frame, "id": np.arange(N)}).advancing == {"id"}


@pytest.mark.parametrize("seed", range(5))
def test_rows_without_order_hardly_ever_disagree(seed):
    order = find_order(cells(stationary(N, seed=seed).astype({"kind": object})))

    assert not order.advancing
    assert not order.disagreeing


@pytest.mark.parametrize("table", DRIFTING)
def test_columns_that_drift_are_told(table):
    frame = DRIFTING[table](0)
    order = find_order(cells(frame.astype({"kind": object}) if "kind" in frame else frame))

    assert order.places is not None
    assert order.disagreeing
    assert set(order.disagreeing) <= {"x", "amount", "y", "kind"}


def test_rows_that_are_odd_only_at_the_end_are_no_drift():
    frame = stationary(N).astype({"kind": object})
    frame.loc[N * 9 // 10 :, ["x", "amount", "y"]] += 30

    order = find_order(cells(frame.assign(id=np.arange(N))))

    assert not order.disagreeing


NUMBERED = {
    "batch": np.arange(N) // 100 + 17,
    "lot": np.repeat([f"{i * 7919 % 10007:x}" for i in range(30)], N // 30),
    "month": np.repeat(["May", "June", "July"], N // 3),
    "version": np.repeat(["blue", "green", "red"], N // 3),
}


@pytest.mark.parametrize("name", NUMBERED)
@pytest.mark.parametrize("known", [True, False])
def test_few_blocks_advance_if_their_column_is_named_like_a_time_else_it_is_told(name, known):
    cells_of = np.asarray(NUMBERED[name])
    kind = object if cells_of.dtype.kind == "U" else float
    name = name if known else "c"
    frame = stationary(N).assign(**{name: cells_of}).astype({"kind": object, name: kind})

    order = find_order(cells(frame))

    assert order.advancing == ({name} if known else set())
    assert order.sorted_by == (() if known else (name,))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    "label",
    [
        lambda days: 100 * days.year + days.month,
        lambda days: days.strftime("%G%V").astype(int),
        lambda days: 10 * days.year + days.quarter,
        lambda days: days.strftime("%Y%j").astype(int),
    ],
    ids=["month", "week", "quarter", "day"],
)
def test_numbers_of_a_year_and_a_part_of_it_advance_in_either_direction(label, sign):
    days = pd.date_range("2023-09-01", periods=N, freq="12h")[::sign]
    frame = stationary(N).assign(c=np.asarray(label(days), dtype=float)).astype({"kind": object})

    assert find_order(cells(frame)).advancing == {"c"}


def test_a_counter_on_whose_values_others_depend_is_kept_and_told():
    rng = np.random.default_rng(0)
    shop = (rng.random(4 * N) < 0.005).cumsum()
    frame = stationary(4 * N).assign(shop=shop.astype(float)).astype({"kind": object})
    alike = frame.assign(y=frame["y"] + rng.normal(size=shop.max() + 1)[shop])

    assert find_order(cells(frame)).advancing == {"shop"}
    assert not find_order(cells(alike)).advancing
    assert find_order(cells(alike)).sorted_by == ("shop",)


def test_sessions_side_by_side_advance_and_cities_within_regions_are_told():
    rng = np.random.default_rng(0)
    session = np.arange(4 * N) // 180 * 3 + rng.integers(0, 3, 4 * N)
    region = np.arange(4 * N) // 600
    frame = stationary(4 * N).astype({"kind": object})
    sessions = frame.assign(c=[f"s{i * 7919 % 10007:x}" for i in session])
    cities = frame.assign(c=[f"city {chr(97 + i % 26)}{i}" for i in region * 4 + session % 3])
    cities["region"] = [f"region {chr(97 + i)}" for i in region]

    order = find_order(cells(cities.astype({"c": object, "region": object})))

    assert find_order(cells(sessions.astype({"c": object}))).advancing == {"c"}
    assert not order.advancing
    assert set(order.sorted_by) == {"c", "region"}


@pytest.mark.parametrize("share_of_names", [2, 20])
def test_texts_in_random_order_are_not_said_to_be_sorted(share_of_names):
    rng = np.random.default_rng(0)
    names = [f"name {i}" for i in rng.integers(0, share_of_names * N, N)]
    frame = stationary(N).assign(c=names).astype({"kind": object, "c": object})

    assert not find_order(cells(frame)).sorted_by


def test_missing_cells_are_left_out_and_few_rows_tell_nothing():
    number = np.arange(N, dtype=float)
    number[::3] = np.nan

    assert find_order({"n": number}).advancing == {"n"}
    assert not find_order({"n": number[:40]}).advancing
