import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.channel_scaler import MAX_DEVIATION, ChannelScaler
from anomdiff.encoding.panel import PanelLayout
from tests.series import panel, waves


def fit(frame, covariates=None, **columns):
    layout = PanelLayout.infer(frame, **columns)
    parts = layout.read(frame)
    return ChannelScaler.fit(layout, parts, covariates), parts


def test_each_series_has_its_own_scale():
    scaler, parts = fit(panel(200, seed=0), series="host", time="time")

    for part in parts:
        encoded = scaler.encode(part)
        np.testing.assert_allclose(encoded.values.mean(0), 0, atol=1e-12)
        np.testing.assert_allclose(encoded.values.std(0), 1)
        assert encoded.observed.all()
        assert encoded.known


def test_series_of_different_lengths_and_gaps_are_scaled_by_all_their_steps():
    frame = panel(60, seed=0).drop(index=[*range(20, 40), *range(90, 120)])

    scaler, _ = fit(frame, series="host", time="time")

    for label, rows in frame.groupby("host"):
        values = rows[["slow", "echo", "fast"]]
        np.testing.assert_allclose(scaler.scales[label][0], values.mean())
        np.testing.assert_allclose(scaler.scales[label][1], values.std(ddof=0))


def test_an_unknown_series_has_the_scale_of_all_together():
    frame = panel(200, seed=0)
    scaler, (first, _) = fit(frame, series="host", time="time")

    encoded = scaler.encode(replace(first, series="new"))

    everything = frame[["slow", "echo", "fast"]].to_numpy()
    expected = (first.values - everything.mean(0)) / everything.std(0)
    np.testing.assert_allclose(encoded.values, expected)
    assert not encoded.known


def test_a_channel_that_a_series_lacks_has_the_scale_of_the_others():
    frame = panel(50, seed=0)
    frame.loc[frame["host"] == "b", "fast"] = np.nan

    scaler, _ = fit(frame, series="host", time="time")

    assert scaler.scales["b"][0][2] == scaler.scales[None][0][2]
    assert scaler.scales["b"][1][2] == scaler.scales[None][1][2]


def test_a_constant_channel_is_scaled_by_all_series_and_else_by_a_hundredth_of_its_size():
    frame = panel(50, seed=0).assign(echo=7.0)
    frame.loc[frame["host"] == "b", "fast"] = 3.0

    scaler, _ = fit(frame, series="host", time="time")

    np.testing.assert_allclose(scaler.scales["b"][1][1:], [0.07, scaler.scales[None][1][2]])


def test_states_are_covariates_unless_there_is_nothing_else():
    frame = waves(20, seed=0).assign(on=np.arange(20) % 2, up=np.arange(20) % 3 == 0)

    assert fit(frame)[0].names == ["slow", "echo", "fast"]
    assert fit(frame[["on", "up"]])[0].names == ["on", "up"]


@pytest.mark.parametrize("level", [0, 1, 7])
def test_a_channel_that_never_moved_is_scored_where_it_stands_beside_measurements(level):
    frame = waves(20, seed=0).assign(still=level)

    assert fit(frame)[0].names == ["slow", "echo", "fast", "still"]


def test_many_channels_that_never_moved_count_as_states_and_a_warning_names_them():
    frame = waves(20, seed=0)[["slow"]].assign(on=0, off=1, open=0)

    with pytest.warns(UserWarning, match=r"\['on', 'off', 'open'\] never moved .* `covariates`"):
        scaler, _ = fit(frame)

    assert scaler.names == ["slow"]


def test_covariates_can_be_declared():
    frame = waves(20, seed=0).assign(on=np.arange(20) % 2)

    assert fit(frame, covariates=("slow",))[0].names == ["echo", "fast", "on"]
    assert fit(frame, covariates=())[0].names == ["slow", "echo", "fast", "on"]


@pytest.mark.parametrize(
    ("covariates", "change", "message"),
    [
        (("speed",), {}, "speed"),
        (("slow", "echo", "fast"), {}, "not a covariate"),
        (None, {"echo": np.nan}, "'echo'"),
    ],
)
def test_what_leaves_nothing_to_score_is_refused(covariates, change, message):
    with pytest.raises(ValueError, match=message):
        fit(waves(20, seed=0).assign(**change), covariates)


def test_missing_cells_are_zero_and_not_observed():
    frame = waves(20, seed=0)
    frame.iloc[3, 1] = np.nan
    scaler, (part,) = fit(frame)

    encoded = scaler.encode(part)

    assert encoded.values[3, 1] == 0
    np.testing.assert_array_equal(encoded.observed, frame.notna())


def test_glitches_are_cut():
    frame = waves(20, seed=0)
    scaler, (part,) = fit(frame)

    encoded = scaler.encode(replace(part, values=part.values * 1e9))

    assert np.abs(encoded.values).max() == MAX_DEVIATION


@pytest.mark.parametrize("labels", [("a", "b"), (1, 2), (0.5, 1.5), (True, False)])
def test_a_scaler_survives_json_to_the_bit(labels):
    frame = panel(30, seed=0, labels=labels).astype({"host": object})
    scaler, parts = fit(frame, series="host", time="time")

    again = ChannelScaler.from_dict(json.loads(json.dumps(scaler.to_dict())))

    assert again.layout == scaler.layout
    assert list(again.scales) == list(scaler.scales)
    for part in parts:
        np.testing.assert_array_equal(again.encode(part).values, scaler.encode(part).values)


def test_nullable_and_boolean_channels_are_numbers():
    frame = pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64"), "b": [True, False, True]})

    scaler, (part,) = fit(frame)

    assert scaler.names == ["a"]
    np.testing.assert_array_equal(scaler.encode(part).observed[:, 0], [True, False, True])
