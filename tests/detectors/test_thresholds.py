import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import anomdiff
from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.models.judged_steps import EVIDENT
from anomdiff.thresholds.extreme_value import tail_threshold
from anomdiff.thresholds.fdr import benjamini_hochberg
from tests.series import waves
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table


@pytest.fixture(scope="module")
def states():
    """A detector of each kind with normal rows it has not seen."""
    table = TabularDetector(alpha=0.1, **TINY).fit(mixed_table(400, seed=0))
    series = TimeSeriesDetector(alpha=0.1, **TINY_SERIES).fit(waves(600, seed=0))
    return {"table": (table, mixed_table(200, seed=1)), "series": (series, waves(200, 1, 600))}


@pytest.fixture(params=["table", "series"])
def case(states, request, tmp_path):
    """A copy of a fitted detector, free to be changed, and rows."""
    detector, rows = states[request.param]
    return anomdiff.load(anomdiff.save(detector, tmp_path / "fitted")), rows


def agrees(detector, rows):
    """Whether all ways to ask for alarms give the same ones; if so, return them."""
    scored = detector.score_frame(rows)
    flags = scored["is_anomaly"].to_numpy()
    above = flagged(detector, rows, scored["anomaly_score"] > detector.threshold_)
    np.testing.assert_array_equal(flags, above)
    np.testing.assert_array_equal(flags, detector.predict(rows) == -1)
    np.testing.assert_array_equal(flags, detector.decision_function(rows) < 0)
    return flags


def flagged(detector, rows, unusual):
    """Rows that are unusual; steps of series, if they are off themselves."""
    _, extra = detector.model_.score_frame(detector._check(rows, by_name=True))
    return unusual.to_numpy() & extra.get(EVIDENT, True)


def test_another_alpha_changes_the_threshold_and_nothing_else(case):
    detector, rows = case
    network, before = detector.model_.denoiser, detector.score_frame(rows)

    assert detector.set_alpha(0.3) is detector

    after = detector.score_frame(rows)
    flags = agrees(detector, rows)
    np.testing.assert_array_equal(flags, flagged(detector, rows, after["p_value"] <= 0.3))
    assert flags.sum() > before["is_anomaly"].sum()
    same = ["anomaly_score", "p_value"]
    pd.testing.assert_frame_equal(after[same], before[same])
    assert detector.model_.denoiser is network
    assert detector.get_params()["alpha"] == 0.3


def test_alpha_there_and_back_is_where_fit_left_it(case):
    detector, _ = case
    fitted = detector.threshold_

    detector.set_alpha(0.3).set_alpha(0.1)

    assert detector.threshold_ == fitted


@pytest.mark.parametrize("alpha", [0, 1, 1.5, "0.1", None])
def test_no_other_alpha_is_taken(case, alpha):
    detector, _ = case

    with pytest.raises((TypeError, ValueError), match="alpha must be"):
        detector.set_alpha(alpha)

    assert detector.alpha == 0.1


def test_a_threshold_of_ones_own_is_kept_with_the_model(case, tmp_path):
    detector, rows = case
    network, own = (
        detector.model_.denoiser,
        tail_threshold(detector.calibration_scores_, 1e-3, tail=0.3),
    )

    detector.set_threshold(own)
    loaded = anomdiff.load(anomdiff.save(detector, tmp_path / "model"))

    assert loaded.threshold_ == detector.threshold_ == own
    assert detector.model_.denoiser is network
    np.testing.assert_array_equal(agrees(loaded, rows), agrees(detector, rows))


def test_a_threshold_may_be_infinite_even_on_disk(case, tmp_path):
    detector, rows = case

    detector.set_threshold(np.inf)

    assert not agrees(detector, rows).any()
    assert anomdiff.load(anomdiff.save(detector, tmp_path / "model")).threshold_ == np.inf


@pytest.mark.parametrize("threshold", [np.nan, "3", None, True])
def test_a_threshold_is_a_number(case, threshold):
    with pytest.raises((TypeError, ValueError), match="threshold must be a number"):
        case[0].set_threshold(threshold)


@pytest.mark.parametrize(
    "method", ["score_frame", "predict", "discoveries", "repair", "recalibrate"]
)
def test_an_alpha_that_the_threshold_was_not_set_for_is_refused_until_it_is_set(case, method):
    detector, rows = case
    detector.set_params(alpha=0.3)

    if method != "recalibrate":  # which sets the threshold anew
        with pytest.raises(ValueError, match=r"alpha .*0\.1; got alpha=0\.3: call set_alpha"):
            getattr(detector, method)(rows)
        detector.set_alpha(0.3)
    else:
        detector.recalibrate(rows)

    scored = detector.score_frame(rows)
    wanted = flagged(detector, rows, scored["p_value"] <= 0.3)
    np.testing.assert_array_equal(scored["is_anomaly"], wanted)


def test_a_parameter_changed_for_the_next_fit_does_not_change_a_loaded_threshold(case, tmp_path):
    detector, _ = case
    fitted = detector.threshold_

    detector.set_params(alpha=0.4)

    assert anomdiff.load(anomdiff.save(detector, tmp_path / "model")).threshold_ == fitted


def test_recalibrated_on_other_rows_the_p_values_are_their_ranks(case, tmp_path):
    detector, rows = case
    network, before = detector.model_.denoiser, detector.score_frame(rows)["anomaly_score"]

    detector.recalibrate(rows)

    scored = detector.score_frame(rows)
    n = len(rows)
    # Scores that differ by rounding are equal.
    naive = [(1 + (before >= s - 1e-5 * (1 + abs(s))).sum()) / (1 + n) for s in before]
    np.testing.assert_allclose(scored["p_value"], naive)
    wanted = flagged(detector, rows, scored["p_value"] <= 0.1)
    np.testing.assert_array_equal(agrees(detector, rows), wanted)
    assert detector.model_.denoiser is network
    loaded = anomdiff.load(anomdiff.save(detector, tmp_path / "model"))
    pd.testing.assert_frame_equal(loaded.score_frame(rows), scored)


def test_discoveries_are_those_of_benjamini_and_hochberg_and_leave_no_trace(case):
    detector, rows = case
    before = detector.threshold_

    scored, found = detector.score_frame(rows), detector.discoveries(rows, q=0.5)

    wanted = benjamini_hochberg(scored["p_value"], 0.5)
    np.testing.assert_array_equal(found["is_anomaly"], wanted)
    pd.testing.assert_frame_equal(
        found.drop(columns="is_anomaly"), scored[found.columns.drop("is_anomaly")]
    )
    assert detector.threshold_ == before


def test_discoveries_by_other_rows_use_their_scores(case):
    detector, rows = case
    half, rest = rows[:100], rows[100:]

    p_values = detector.discoveries(rest, calibration=half)["p_value"]

    recalibrated = detector.recalibrate(half).score_frame(rest)["p_value"]
    np.testing.assert_array_equal(p_values, recalibrated)


@pytest.mark.parametrize("method", ["set_alpha", "set_threshold", "recalibrate", "discoveries"])
@pytest.mark.parametrize("kind", [TabularDetector, TimeSeriesDetector])
def test_without_a_fit_there_is_nothing_to_set(kind, method):
    with pytest.raises(NotFittedError):
        getattr(kind(), method)(0.5)


def mix(rng, n, share):
    """Rows of two kinds, of which the second varies more; the kind can be told by a column."""
    second = rng.random(n) < share
    spread = np.where(second, 3.0, 1.0)
    numbers = spread[:, None] * rng.normal(size=(n, 2))
    return pd.DataFrame(
        {"kind": np.where(second, "b", "a"), "x": numbers[:, 0], "y": numbers[:, 1]}
    )


@pytest.fixture(scope="module")
def mixed():
    """A detector that judges rows by the numbers alone."""
    rows = mix(np.random.default_rng(0), 1000, 0.1)
    return TabularDetector(kinds={"kind": "category"}, **TINY).fit(rows)


def test_rows_of_another_mix_need_the_weights_of_the_shifted_column(mixed):
    rng = np.random.default_rng(1)
    known, batch = mix(rng, 1500, 0.1), mix(rng, 1500, 0.6)

    plain = mixed.discoveries(batch, calibration=known)["p_value"]
    weighted = mixed.discoveries(batch, calibration=known, shifted=["kind"])["p_value"]

    # four standard deviations over many draws of rows
    assert np.mean(plain <= 0.1) > 0.3
    assert 0.03 < np.mean(weighted <= 0.1) < 0.17


def test_a_shift_of_spread_shows_too(mixed):
    rng = np.random.default_rng(4)
    known, batch = (
        pd.DataFrame({"kind": "a", "x": spread * rng.normal(size=4000), "y": rng.normal(size=4000)})
        for spread in (1.0, 1.4)
    )

    plain = mixed.discoveries(batch, calibration=known)["p_value"]
    weighted = mixed.discoveries(batch, calibration=known, shifted=["x"])["p_value"]

    assert np.mean(plain <= 0.1) > 0.13
    assert 0.01 < np.mean(weighted <= 0.1) < 0.15


def test_without_a_shift_the_weights_change_little(mixed):
    rng = np.random.default_rng(2)
    known, batch = mix(rng, 1000, 0.3), mix(rng, 1000, 0.3)

    plain = mixed.discoveries(batch, calibration=known)["p_value"]
    weighted = mixed.discoveries(batch, calibration=known, shifted=["kind", "x"])["p_value"]

    assert np.abs(plain - weighted).max() < 0.05


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shifted": ["kind"]}, "need calibration rows"),
        (
            {"shifted": ["colour"], "calibration": 20},
            r"need shifted columns among .* got \['colour'\]",
        ),
        ({"shifted": ["kind"], "calibration": 3}, "need 5 rows or more to tell a shift; got 3"),
    ],
)
def test_a_shift_that_cannot_be_told_is_refused(mixed, settings, message):
    rows = mix(np.random.default_rng(3), 20, 0.5)
    if "calibration" in settings:
        settings = settings | {"calibration": rows[: settings["calibration"]]}

    with pytest.raises(ValueError, match=message):
        mixed.discoveries(rows, **settings)
