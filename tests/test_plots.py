import numpy as np
import pandas as pd
import pytest

from anomdiff import TimeSeriesDetector
from anomdiff.plots import alarm_rates, level_figure, sample_figure, series_figure
from anomdiff.selection.level_losses import LEVELS
from tests.series import panel, waves
from tests.settings import TINY_LONG, TINY_SERIES
from tests.tables import mixed_table


@pytest.mark.parametrize(("n", "alpha"), [(99, 0.1), (500, 0.05)])
def test_nine_in_ten_calibrations_have_an_alarm_rate_in_the_range(n, alpha):
    scores = np.sort(np.random.default_rng(0).uniform(size=(4000, n)), axis=1)
    k = int(alpha * (n + 1))
    rates = 1 - scores[:, n - k]  # of uniform scores above the threshold

    low, high = alarm_rates(n, alpha)

    assert np.mean((low <= rates) & (rates <= high)) == pytest.approx(0.9, abs=0.02)


def test_too_few_rows_for_alpha_raise_no_alarm():
    assert np.ravel(alarm_rates(50, 0.01)).tolist() == [0, 0]


def test_sampled_rows_are_drawn_beside_training_rows_column_by_column():
    rows = mixed_table(50, seed=0)

    figure = sample_figure(rows, mixed_table(40, seed=1))

    assert [axes.get_title() for axes in figure.axes if axes.axison] == list(rows)


def test_every_group_of_rows_has_a_line():
    losses = {"sigma": LEVELS.numpy(), "training": np.ones(8), "held out": np.ones(8)}

    (axes,) = level_figure(pd.DataFrame(losses)).axes

    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["training", "held out", "nothing learnt"]


@pytest.fixture(scope="module")
def series():
    """A detector of waves, and waves with a spike and a frozen sensor."""
    detector = TimeSeriesDetector(**TINY_LONG).fit(waves(800, seed=0))
    frame = waves(400, seed=1, start=800)
    frame.iloc[60, 0] += 4
    frame.iloc[150:190, 1] = frame.iloc[150, 1]
    return detector, frame


INDICES = {
    "dates": lambda frame: frame,
    "periods": lambda frame: frame.to_period("min"),
    "zone": lambda frame: frame.tz_localize("Europe/Berlin"),
    "numbers": lambda frame: frame.reset_index(drop=True),
    "labels": lambda frame: frame.set_axis([f"r{i}" for i in range(len(frame))]),
}


@pytest.mark.parametrize("index", INDICES)
def test_segments_are_shaded_where_they_are_in_the_channels_they_are_named_after(series, index):
    detector, frame = series
    frame = INDICES[index](frame)
    scored = detector.score_frame(frame)
    segments = detector.segments(scored, frame)

    *channels, below = series_figure(detector, frame, scored).axes

    assert [axes.get_ylabel() for axes in channels] == ["slow", "echo", "fast"]
    for axes, name in zip(channels, detector.model_.names, strict=True):
        (line,), shades = axes.lines, axes.patches
        np.testing.assert_array_equal(line.get_ydata(), frame[name])
        places = line.get_xdata()
        dark = [each for each in shades if each.get_alpha() > 0.2]
        own = segments[[name in each for each in segments["channels"]]]
        assert len(dark) == len(own)
        for shade, start, end in zip(dark, own["start"], own["end"], strict=True):
            inside = (places > shade.get_x()) & (places < shade.get_x() + shade.get_width())
            assert list(frame.index[inside]) == list(frame.loc[start:end].index)
        kinds = [text.get_text() for text in axes.texts]
        assert (
            kinds == segments["kind"][[each[0] == name for each in segments["channels"]]].tolist()
        )
    np.testing.assert_array_equal(below.lines[0].get_ydata(), scored["anomaly_score"])
    assert below.lines[1].get_ydata()[0] == detector.threshold_


def test_a_context_is_shaded_once_however_many_segments_it_has(series):
    detector, frame = series
    scored = detector.score_frame(frame)
    segments = detector.segments(scored)

    axes = series_figure(detector, frame, scored).axes[0]

    light = [each for each in axes.patches if each.get_alpha() < 0.2]
    assert len(light) == len(segments[["context_start", "context_end"]].drop_duplicates())


def test_one_series_of_a_panel_is_drawn():
    detector = TimeSeriesDetector(series="host", time="time", **TINY_SERIES).fit(panel(200, 0))
    frame = panel(60, seed=5).sample(frac=1, random_state=0)
    scored = detector.score_frame(frame)

    own = frame[frame["host"] == "b"].sort_values("time")
    axes = series_figure(detector, frame, scored, series="b").axes[0]

    np.testing.assert_array_equal(axes.lines[0].get_ydata(), own["slow"])
    alone = frame["host"] == "b"
    same = series_figure(detector, frame[alone], scored[alone]).axes[0]
    np.testing.assert_array_equal(same.lines[0].get_ydata(), own["slow"])
    with pytest.raises(ValueError, match=r"need one of the series \['.', '.'\]; got series=None"):
        series_figure(detector, frame, scored)
