"""Series as people have them: spelled and unreadable cells, sentinels, repeated times."""

import warnings

import numpy as np
import pandas as pd
import pytest

from anomdiff import TimeSeriesDetector, load, save
from tests.series import waves
from tests.settings import TINY_SERIES

N_TRAIN = 300


def table():
    return waves(450, seed=0).rename_axis("time").reset_index()


def fitted(frame, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TimeSeriesDetector(**TINY_SERIES, time="time", **options).fit(frame)


def scores(detector, frame):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return detector.score_frame(frame)["anomaly_score"].to_numpy()


@pytest.mark.parametrize(
    "spell",
    [
        lambda x: f"{x:.17g}".replace(".", ","),
        lambda x: f"{x:.17g} bar",
        lambda x: f"{x:.17g}%",
        lambda x: f" {x:.17g}",
    ],
    ids=["comma", "unit", "per cent", "blank"],
)
def test_spelled_channels_score_as_numbers(spell, tmp_path):
    frame = table()
    channel = frame.columns[1]
    spelled = frame.assign(**{channel: [spell(x) for x in frame[channel]]})
    detector = fitted(spelled[:N_TRAIN])

    found = scores(load(save(detector, tmp_path / "model")), spelled[N_TRAIN:])

    wanted = scores(fitted(frame[:N_TRAIN]), frame[N_TRAIN:])
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_an_unreadable_cell_of_a_channel_is_a_gap_and_told():
    frame = table()
    channel = frame.columns[1]
    broken = frame.astype({channel: object})
    broken.loc[[20, 400], channel] = "ERR"
    detector = fitted(broken[:N_TRAIN])

    with pytest.warns(UserWarning, match="1 of 150 cells.*'ERR', first in row 400"):
        found = detector.score_frame(broken[N_TRAIN:])["anomaly_score"]

    with_gap = frame.assign(**{channel: frame[channel].mask(frame.index.isin([20, 400]))})
    wanted = scores(fitted(with_gap[:N_TRAIN]), with_gap[N_TRAIN:])
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_missing_values_of_channels_are_gaps():
    frame = table()
    channel = frame.columns[1]
    with_gaps = frame.assign(**{channel: frame[channel].mask(frame.index % 37 == 5)})
    detector = fitted(with_gaps.fillna(-999)[:N_TRAIN], missing_values=-999)

    found = scores(detector, with_gaps.fillna(-999)[N_TRAIN:])

    np.testing.assert_allclose(
        found, scores(fitted(with_gaps[:N_TRAIN]), with_gaps[N_TRAIN:]), atol=1e-9
    )


def autumn():
    """Local hours without a zone, of which clocks repeat one."""
    hours = pd.date_range("2025-10-10", periods=600, freq="h", tz="UTC")
    local = hours.tz_convert("Europe/Oslo").tz_localize(None)
    return pd.DataFrame({"time": local, "load": np.sin(np.arange(600) / 4)})


@pytest.mark.parametrize("how", ["first", "last", "mean"])
def test_the_hour_that_clocks_repeat_is_one_step_if_asked_for(how, tmp_path):
    frame = autumn()
    same = frame["time"].duplicated(keep=False).to_numpy()
    detector = fitted(frame, duplicate_times=how)

    found = load(save(detector, tmp_path / "model")).score_frame(frame)

    left_out = same & frame["time"].duplicated(keep="last" if how == "last" else "first")
    assert left_out.sum() == 1
    np.testing.assert_array_equal(found["anomaly_score"].isna(), left_out)
    without = frame[~left_out].reset_index(drop=True)
    if how == "mean":
        middle = without["time"].isin(frame["time"][same])
        without.loc[middle, "load"] = frame["load"][same].mean()
    wanted = scores(detector, without)
    np.testing.assert_allclose(found["anomaly_score"][~left_out], wanted, atol=1e-9)


def test_a_few_repeated_times_are_left_out_with_a_warning_that_says_what_to_set():
    with pytest.warns(UserWarning, match="1 of 600 rows repeat .*set duplicate_times='first'"):
        kept = TimeSeriesDetector(**TINY_SERIES, time="time").fit(autumn())

    assert kept.layout_.duplicate_times == "warn"


def test_many_repeated_times_are_refused_with_what_to_set():
    frame = autumn()
    frame.loc[:40, "time"] = frame.loc[0, "time"]

    with pytest.raises(ValueError, match="of 600 rows .*set duplicate_times='first'.*series="):
        fitted(frame)


@pytest.mark.parametrize("date_format", ["%d/%m/%Y %H:%M", "%d.%m.%Y %H:%M", "%m/%d/%Y %I:%M %p"])
def test_times_in_any_spelling_order_the_steps(date_format, tmp_path):
    frame = table()
    spelled = frame.assign(time=frame["time"].dt.strftime(date_format))
    detector = load(save(fitted(spelled[:N_TRAIN]), tmp_path / "model"))

    wanted = scores(fitted(frame[:N_TRAIN]), frame[N_TRAIN:])

    np.testing.assert_allclose(scores(detector, spelled[N_TRAIN:]), wanted, atol=1e-9)


def test_numbers_that_repeat_far_outside_are_named():
    frame = table()
    channel = frame.columns[1]
    frame.loc[::50, channel] = -999

    with pytest.warns(UserWarning, match=rf"missing_values=.*'{channel}': \[-999\]"):
        TimeSeriesDetector(**TINY_SERIES, time="time").fit(frame)
