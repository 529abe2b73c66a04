import copy

import numpy as np
import pandas as pd
import pytest
from scipy.stats import betabinom

from anomdiff import TabularDetector, TimeSeriesDetector, load, save
from anomdiff.metrics.detection import auroc
from tests.series import waves
from tests.settings import SMALL, TINY_SERIES
from tests.tables import mixed_table

ALPHA = 0.05


@pytest.fixture(scope="module")
def before():
    """A detector of rows before a drift; do not change it."""
    return TabularDetector(alpha=ALPHA, **SMALL).fit(_rows(600, seed=0))


def _rows(n, seed):
    return mixed_table(n, seed).drop(columns="sold").reset_index(drop=True)


def _drifted(n, seed):
    frame = _rows(n, seed)
    return frame.assign(price=frame["price"] + 40, count=frame["count"] + 6)


def _updated(detector, *parts):
    copied = copy.deepcopy(detector)
    for rows in parts:
        copied.update(rows)
    return copied


def _is_by_chance(alarms, rows, detector):
    """Whether that many alarms are within the middle 99.9 % of what exchangeable rows raise."""
    known = detector.calibration_scores_
    above = int((known > detector.threshold_).sum())
    chance = betabinom(rows, above + 1, len(known) - above)
    return chance.ppf(0.0005) <= alarms <= chance.isf(0.0005)


def _anomalies(rows, seed):
    """Rows of which each tenth has the price of another one."""
    rng, odd = np.random.default_rng(seed), np.arange(len(rows)) % 10 == 0
    changed = rows.copy()
    changed.loc[odd, "price"] = rng.permutation(rows["price"].to_numpy())[odd]
    return changed, odd


def test_new_rows_score_lower_and_so_do_others_like_them(before):
    new, others = _drifted(400, seed=1), _drifted(400, seed=2)

    after = _updated(before, new)

    for rows in (new, others):
        was = before.score_frame(rows)["anomaly_score"]
        assert (after.score_frame(rows)["anomaly_score"] < was).mean() > 0.95


@pytest.mark.parametrize("rows", [_rows, _drifted])
def test_normal_rows_to_come_alarm_as_alpha_says(before, rows):
    after, further = _updated(before, rows(600, seed=1)), rows(3000, seed=2)

    alarms = int(after.score_frame(further)["is_anomaly"].sum())

    assert _is_by_chance(alarms, len(further), after)
    assert after.calibration_scores_[-1] > after.threshold_ > after.calibration_scores_[0]


@pytest.mark.slow
def test_p_values_of_normal_rows_are_uniform_on_average_over_updates(before):
    further, shares = _drifted(1000, seed=2), []
    for seed in range(10, 20):
        p_values = _updated(before, _drifted(300, seed)).score_frame(further)["p_value"]
        shares.append([(p_values <= level).mean() for level in (0.1, 0.5)])

    mean, error = np.mean(shares, 0), np.std(shares, 0) / np.sqrt(len(shares))

    assert (np.abs(mean - [0.1, 0.5]) < 4 * error + 1 / 60).all()


def test_rows_that_calibrate_are_no_reference_rows(before):
    new = _drifted(300, seed=1)

    after = _updated(before, new)

    reference = after.model_.reference.values.numpy()
    values = after.model_.encode(after.schema_.check(new))[0].numpy()
    kept = [(reference == row).all(1).any() for row in values]
    assert len(new) - sum(kept) == len(after.calibration_scores_) == 60
    assert len(reference) == len(before.model_.reference.values) + sum(kept)


def test_rows_of_the_same_distribution_leave_the_ranking_as_it_was(before):
    test, odd = _anomalies(_rows(2000, seed=3), seed=3)

    after = _updated(before, _rows(600, seed=1))

    was, now = (auroc(odd, each.score_frame(test)["anomaly_score"]) for each in (before, after))
    assert was > 0.8
    assert now == pytest.approx(was, abs=0.04)


@pytest.mark.slow
def test_an_update_in_two_halves_is_like_one_at_once(before):
    new, (test, odd) = _drifted(800, seed=1), _anomalies(_drifted(2000, seed=3), seed=3)

    once, twice = _updated(before, new), _updated(before, new[:400], new[400:])

    areas = [auroc(odd, each.score_frame(test)["anomaly_score"]) for each in (once, twice)]
    assert areas[0] == pytest.approx(areas[1], abs=0.04)
    for each in (once, twice):
        assert _is_by_chance(int(each.score_frame(test[~odd])["is_anomaly"].sum()), 1800, each)


def test_an_update_trains_nothing_is_repeatable_and_is_stored(before, tmp_path):
    new, rows = _drifted(300, seed=1), _drifted(50, seed=2)

    after = _updated(before, new)
    save(after, tmp_path / "model")

    assert after.model_.denoiser is not None
    for own, other in zip(
        after.model_.denoiser.parameters(), before.model_.denoiser.parameters(), strict=True
    ):
        assert own.equal(other)
    scores = after.score_frame(rows)
    pd.testing.assert_frame_equal(scores, _updated(before, new).score_frame(rows))
    pd.testing.assert_frame_equal(scores, load(tmp_path / "model").score_frame(rows))


def test_no_more_than_max_reference_rows_are_kept_and_all_new_ones(before):
    few = copy.deepcopy(before).set_params(max_reference=500)

    few.update(_drifted(400, seed=1))

    reference = few.model_.encoder.decode(few.model_.reference.values.numpy())
    assert len(reference) == 500
    assert (reference["price"] > 40).sum() >= 320


def test_the_rows_given_stay_as_they_are_and_so_does_the_model_before(before):
    new = _drifted(300, seed=1)
    kept, scores = new.copy(), before.score_frame(new)

    model = copy.copy(before).update(new).model_

    assert model is not before.model_
    pd.testing.assert_frame_equal(new, kept)
    pd.testing.assert_frame_equal(scores, before.score_frame(new))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: f.assign(kind="toy"), r"values of column 'kind' that .* got \['toy'\]: leave"),
        (lambda f: f.assign(size=f["size"].where(f.index > 2)), "value in every row of column 'si"),
        (lambda f: f.drop(columns="price"), "'price'"),
        (lambda f: f[:20], r"at least 48 rows for alpha=0.05; got 20: collect more, or set an al"),
    ],
)
def test_rows_that_the_encoding_has_no_place_for_are_refused_in_a_sentence(
    before, change, sentence
):
    with pytest.raises(ValueError, match=sentence) as told:
        _updated(before, change(_rows(300, seed=1)))

    assert str(told.value).count(". ") == 0


def test_series_are_fitted_to_instead():
    detector = TimeSeriesDetector(alpha=0.05, **TINY_SERIES).fit(waves(300, seed=0))

    with pytest.raises(ValueError, match="an update needs rows of a table; got 300 steps"):
        detector.update(waves(300, seed=1))
