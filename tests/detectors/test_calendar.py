"""Series whose calendar and covariates say what is normal."""

import datetime

import numpy as np
import pandas as pd
import pytest

import anomdiff
from anomdiff import TimeSeriesDetector
from tests.detectors.test_stream import assert_same, stream
from tests.settings import TINY_SERIES

WEEK = {"calendar": ("hour", "weekday"), "covariates": ["outdoor"]}
HOLIDAY = datetime.date(2025, 3, 5)  # a Wednesday
N_TRAIN = 24 * 7 * 6


def heating(weeks, seed, start="2025-01-06", zone=None, holidays=()):
    """Hourly load: by day on weekdays, more where it is cold; the outdoor temperature."""
    rng, n = np.random.default_rng(seed), 24 * 7 * weeks
    times = pd.date_range(start, periods=n, freq="h", tz=zone)
    outdoor = 5 + rng.normal(0, 4, n)
    at_work = (times.day_of_week < 5) & (times.hour >= 8) & (times.hour < 18)
    at_work &= ~np.isin(times.date, holidays)
    load = 20 + 10 * at_work - outdoor + rng.normal(0, 0.5, n)
    return pd.DataFrame({"load": load, "outdoor": outdoor}, index=times)


@pytest.fixture(scope="module")
def fitted_week():
    return TimeSeriesDetector(**WEEK, **TINY_SERIES).fit(heating(6, seed=0))


@pytest.fixture
def week(fitted_week):
    """A detector of calendar and temperature, without streams."""
    yield fitted_week
    fitted_week.finish()


@pytest.fixture(scope="module")
def later():
    return heating(2, seed=1, start="2025-02-17")


def scores(detector, frame):
    return detector.score_frame(frame)["anomaly_score"].to_numpy()


def test_what_would_be_normal_on_another_day_is_found(week, later):
    busy = later.copy()
    busy.loc["2025-02-23 08:00":"2025-02-23 17:00", "load"] += 10  # a Sunday like a weekday

    normal, found = (week.score_frame(each)["is_anomaly"] for each in (later, busy))

    assert normal.mean() < 0.05
    assert found["2025-02-23"].sum() > 3


def test_what_the_covariate_explains_is_normal(week, later):
    cold = later.copy()
    cold.iloc[100:130] += [10.0, -10.0]  # ten degrees colder, and heated for it

    assert scores(week, cold)[100:130].max() < 2 * week.threshold_


@pytest.mark.parametrize("known", [True, False])
def test_a_quiet_holiday_is_normal_where_the_calendar_has_it(known):
    days = [datetime.date(2025, 1, 14), datetime.date(2025, 2, 6), HOLIDAY]
    rows = heating(10, seed=0, holidays=days)
    settings = WEEK | {"holidays": days if known else None} | TINY_SERIES
    detector = TimeSeriesDetector(**settings).fit(rows[:N_TRAIN])

    flags = detector.score_frame(rows[N_TRAIN:])["is_anomaly"]

    assert flags[str(HOLIDAY)].any() != known


def test_nothing_is_expected_where_nothing_is_asked_for(later):
    detector = TimeSeriesDetector(**TINY_SERIES).fit(later)

    scaler = detector.model_.scaler

    assert scaler.expected is None
    assert "expected" not in scaler.to_dict()
    assert "calendar" not in detector.describe()


def test_a_shift_of_all_times_by_weeks_leaves_the_scores_as_they_are(week, later):
    moved = [
        frame.set_index(frame.index + pd.Timedelta(weeks=9))
        for frame in (heating(6, seed=0), later)
    ]
    detector = TimeSeriesDetector(**WEEK, **TINY_SERIES).fit(moved[0])

    np.testing.assert_array_equal(scores(detector, moved[1]), scores(week, later))


def test_a_shift_by_a_day_is_noticed(week, later):
    moved = later.set_index(later.index + pd.Timedelta(days=1))

    assert week.score_frame(moved)["is_anomaly"].mean() > 0.2


@pytest.fixture(scope="module")
def berlin():
    """A detector of times in Berlin, before the clocks are put forward there."""
    rows = heating(6, seed=0, start="2025-01-27", zone="Europe/Berlin")
    return TimeSeriesDetector(**WEEK, **TINY_SERIES).fit(rows)


def test_the_wall_clock_counts_in_summer_too(berlin):
    summer = heating(2, seed=1, start="2025-03-31", zone="Europe/Berlin")

    assert berlin.score_frame(summer)["is_anomaly"].mean() < 0.05


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "+02:00"])
def test_the_same_moments_score_the_same_in_any_zone(berlin, zone):
    rows = heating(2, seed=1, start="2025-03-31", zone="Europe/Berlin")

    np.testing.assert_array_equal(scores(berlin, rows.tz_convert(zone)), scores(berlin, rows))


ANSWERS = ["score_frame", "forecast", "explain", "impute", "score_next", "stream", "recalibrate"]


@pytest.mark.parametrize("answer", ANSWERS)
def test_times_without_a_zone_are_refused_where_training_had_one(berlin, answer):
    rows = heating(2, seed=1, start="2025-03-31", zone="Europe/Berlin")
    sentence = r"with a zone, as in training \(Europe/Berlin\).* got times without one in .*tz_loc"

    for other in (rows.tz_localize(None), rows.tz_convert(None)):
        with pytest.raises(ValueError, match=sentence) as told:
            asked(berlin, answer, other)

    assert "\n" not in str(told.value)
    berlin.finish()


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_times_with_a_zone_are_refused_where_training_had_none(week, later, answer, zone):
    with pytest.raises(ValueError, match=f"without a zone, as in training, .*of the zone {zone}"):
        asked(week, answer, later.tz_localize(zone))


def asked(detector, answer, rows):
    """Answer of a detector about rows."""
    return getattr(detector, answer)(rows, *([3] if answer == "forecast" else []))


def test_a_stream_that_loses_its_zone_is_refused_and_goes_on_with_it(week, later):
    week.score_next(later[:50])

    with pytest.raises(ValueError, match="without a zone"):
        week.score_next(later[50:60].tz_localize("UTC"))

    assert len(week.score_next(later[50:60])) + len(week.finish()) == 60


@pytest.mark.parametrize("trained", ["Europe/Berlin", None])
def test_texts_are_held_to_the_zone_of_training_too(trained):
    def written(weeks, seed, zone):
        rows = heating(weeks, seed, zone=zone)
        times = [each.isoformat() for each in rows.index]
        return rows.reset_index(drop=True).assign(time=times)

    other = None if trained else "Europe/Berlin"
    detector = TimeSeriesDetector(time="time", **WEEK, **TINY_SERIES).fit(written(6, 0, trained))

    detector.score_frame(written(2, 1, trained))
    with pytest.raises(ValueError, match="need times with"):
        detector.score_frame(written(2, 1, other))


@pytest.mark.filterwarnings("error:.*zone")
@pytest.mark.parametrize("trained", ["Europe/Berlin", None])
def test_without_a_calendar_zones_make_no_difference(trained):
    rows, new = heating(6, 0, zone=trained), heating(2, 1, zone=trained)
    detector = TimeSeriesDetector(**TINY_SERIES).fit(rows)
    moved = new.tz_convert(None) if trained else new.tz_localize("UTC")

    np.testing.assert_array_equal(scores(detector, moved), scores(detector, new))


def test_times_with_and_without_a_zone_in_training_are_refused():
    rows = heating(6, seed=0).reset_index(names="time")
    rows["time"] = rows["time"].dt.strftime("%Y-%m-%dT%H:%M:%S")
    rows.loc[500:, "time"] += "+01:00"

    with pytest.raises(ValueError, match=r"need times of one zone .*\['\+01:00', 'none'\]"):
        TimeSeriesDetector(time="time", **WEEK, **TINY_SERIES).fit(rows)


def test_texts_with_a_zone_are_read_by_its_clock(later):
    def written(frame):
        times = frame.index.tz_localize("+02:00").strftime("%Y-%m-%dT%H:%M:%S%z")
        return frame.reset_index(drop=True).assign(time=times)

    detector = TimeSeriesDetector(time="time", **WEEK, **TINY_SERIES).fit(
        written(heating(6, seed=0))
    )

    assert detector.score_frame(written(later))["is_anomaly"].mean() < 0.05


def test_texts_of_several_zones_are_refused():
    rows = heating(6, seed=0).reset_index(names="time")
    rows["time"] = rows["time"].dt.strftime("%Y-%m-%dT%H:%M:%S") + "+01:00"
    rows.loc[500:, "time"] = rows.loc[500:, "time"].str.replace("+01", "+02")

    detector = TimeSeriesDetector(time="time", duplicate_times="first", **WEEK, **TINY_SERIES)
    with pytest.raises(ValueError, match=r"need times of one zone .*\['\+01:00', '\+02:00'\]"):
        detector.fit(rows)


@pytest.mark.parametrize(
    ("times", "got"),
    [
        (None, "rows that are only in order"),
        (np.arange(N_TRAIN), "numbers in column 'time'"),
        (pd.to_timedelta(np.arange(N_TRAIN), unit="h"), "durations in column 'time'"),
    ],
)
def test_a_calendar_needs_dates(times, got):
    rows = heating(6, seed=0).reset_index(drop=True)
    name = None if times is None else "time"
    rows = rows if times is None else rows.assign(time=times)

    with pytest.raises(ValueError, match=f"need times as dates .* got {got}: name a column"):
        TimeSeriesDetector(time=name, **WEEK, **TINY_SERIES).fit(rows)


def test_rows_to_score_need_their_times(week, later):
    with pytest.raises(ValueError, match="need times as dates, as in training"):
        week.score_frame(later.reset_index(drop=True))


@pytest.mark.filterwarnings("error")
def test_a_calendar_that_training_does_not_show_is_warned_of():
    rows = heating(1, seed=0)

    with pytest.raises(UserWarning, match=r"does not show \['weekday'\] of calendar"):
        TimeSeriesDetector(**WEEK, **TINY_SERIES).fit(rows)


def test_a_covariate_is_needed_in_rows_to_score(week, later):
    with pytest.raises(ValueError, match=r"\['outdoor'\] are missing"):
        week.score_frame(later[["load"]])
    with pytest.raises(ValueError, match="need values of the covariate 'outdoor', .* 336 rows"):
        week.score_frame(later.assign(outdoor=np.nan))


def test_steps_without_their_covariate_count_as_missing(week, later):
    odd = later.copy()
    odd.iloc[100, 0] += 30
    gap = odd.copy()
    gap.iloc[100, 1] = np.nan
    missing = later.copy()
    missing.iloc[100, 0] = np.nan

    found, expected = scores(week, gap), scores(week, missing)

    np.testing.assert_array_equal(found, expected)
    assert scores(week, odd)[100] > found[100]


def test_stored_and_loaded_it_scores_the_same_to_the_bit(week, later, tmp_path):
    loaded = anomdiff.load(anomdiff.save(week, tmp_path / "model"))

    np.testing.assert_array_equal(scores(loaded, later), scores(week, later))
    assert loaded.get_params() == week.get_params()


@pytest.mark.parametrize("at_once", [1, 40])
def test_a_stream_has_the_scores_of_a_batch(week, later, at_once):
    rows = later[:200].copy()
    rows.iloc[50:60, 0] += 8

    assert_same(stream(week, rows, at_once), week.score_frame(rows))


def test_series_of_a_panel_have_patterns_of_their_own(later):
    def two(first, second):
        night = second.assign(load=30 - second["load"] - second["outdoor"])
        parts = [first.assign(house="a"), night.assign(house="b")]
        return pd.concat(parts).reset_index(names="time")

    settings = {"series": "house", "time": "time"} | WEEK | TINY_SERIES
    detector = TimeSeriesDetector(**settings).fit(two(heating(6, 0), heating(6, 2)))
    rows = two(later, heating(2, 3, start="2025-02-17"))
    exchanged = rows.assign(house=rows["house"].map({"a": "b", "b": "a"}))

    normal, wrong = (detector.score_frame(each)["is_anomaly"].mean() for each in (rows, exchanged))

    assert normal < 0.05 < 0.3 < wrong


def test_answers_are_in_the_units_of_the_channel(week, later):
    faulty = later.copy()
    faulty.iloc[100:104, 0] += 25
    gaps = later.copy()
    gaps.iloc[100:104, 0] = np.nan
    hours, true = slice(100, 104), later["load"].to_numpy()[100:104]

    filled = week.impute(gaps)["load"].to_numpy()
    repaired = week.repair(faulty)["load"].to_numpy()
    explained = week.explain(faulty, rows=faulty.index[hours])

    for found in (filled[hours], repaired[hours], explained["expected"].to_numpy()):
        np.testing.assert_allclose(found, true, atol=4)
    np.testing.assert_array_equal(filled[:100], later["load"].to_numpy()[:100])


def test_imputing_keeps_cells_whose_covariate_is_missing(week, later):
    gaps = later.copy()
    gaps.iloc[100:104, 1] = np.nan

    np.testing.assert_array_equal(week.impute(gaps)["load"], later["load"])


def test_a_forecast_follows_the_calendar_at_the_last_temperature(week, later):
    history = later[: 24 * 11 + 6].copy()  # up to six on a Friday
    history.iloc[-1, 1] = -5.0
    history.iloc[-1, 0] = 25.0

    expected = week.forecast(history, 24, n_draws=50).set_index("step")["mean"]

    assert expected[1] == pytest.approx(25, abs=3)  # at six
    assert expected[4] == pytest.approx(35, abs=3)  # at nine
    assert expected[20] == pytest.approx(25, abs=3)


def test_drawn_windows_score_as_normal_ones(week):
    drawn = week.sample(40, length=8, random_state=0)

    hours = pd.date_range("1970-01-01", periods=8, freq="h")
    parts = [part[["load", "outdoor"]].set_axis(hours) for _, part in drawn.groupby("series")]
    found = [scores(week, part) for part in parts]

    assert np.median(np.concatenate(found)) < week.threshold_
    assert drawn["outdoor"].nunique() == 1


def test_declared_covariates_count_without_a_calendar_and_found_ones_do_not(later):
    rows = later.assign(open=np.arange(len(later)) % 2)

    found, declared = (
        TimeSeriesDetector(covariates=covariates, **TINY_SERIES).fit(rows).model_.scaler
        for covariates in (None, ["open"])
    )

    assert (found.names, found.conditions) == (["load", "outdoor"], [])
    assert (declared.names, declared.conditions) == (["load", "outdoor"], ["open"])
