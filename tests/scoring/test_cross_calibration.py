"""Held-out rows are scored by a calibration of the others, so that their scores are like new."""

from dataclasses import replace

import torch

from anomdiff.scoring.calibration import ScoreCalibration
from anomdiff.scoring.cross_calibration import CALIBRATION_FOLDS, cross_calibrated

LEAST_TAILS = [1e-6, 1e-6, 1e-6]


def errors_of(n_rows: int, seed: int):
    """Errors of three components, two of them of the same kind of row."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(n_rows, 1, generator=generator, dtype=torch.float64)
    own = torch.randn(n_rows, 3, generator=generator, dtype=torch.float64)
    return [(shared + each[:, None]).exp() for each in own.T]


def everything(n_rows: int):
    return torch.ones(n_rows, dtype=torch.bool)


def test_few_rows_are_left_out_one_by_one():
    errors, weights = errors_of(CALIBRATION_FOLDS - 5, seed=0), [0.5, 0.2, 0.3]
    calibration = replace(ScoreCalibration.fit(errors, LEAST_TAILS), weights=weights)
    scores = cross_calibrated(calibration, errors, everything(CALIBRATION_FOLDS - 5), LEAST_TAILS)
    for row in range(CALIBRATION_FOLDS - 5):
        others = [torch.cat([each[:row], each[row + 1 :]]) for each in errors]
        known = replace(ScoreCalibration.fit(others, LEAST_TAILS), weights=weights)
        alone = known.score([each[row : row + 1] for each in errors])
        torch.testing.assert_close(scores[row : row + 1], alone)


def test_no_fold_of_many_rows_is_calibrated_on_itself():
    errors = errors_of(100, seed=1)
    calibration = ScoreCalibration.fit(errors, LEAST_TAILS)
    before = cross_calibrated(calibration, errors, everything(100), LEAST_TAILS)
    changed = [each.clone() for each in errors]
    for each in changed:
        each[3] = 1e6
    after = cross_calibrated(calibration, changed, everything(100), LEAST_TAILS)
    same_fold = torch.arange(100) % CALIBRATION_FOLDS == 3
    same_fold[3] = False
    torch.testing.assert_close(after[same_fold], before[same_fold])
    assert (after[~same_fold] != before[~same_fold]).all()


def test_rows_that_were_not_calibrated_on_keep_their_scores():
    errors, calibrating = errors_of(60, seed=2), torch.arange(60) < 40
    calibration = ScoreCalibration.fit([each[calibrating] for each in errors], LEAST_TAILS)
    scores = cross_calibrated(calibration, errors, calibrating, LEAST_TAILS)
    torch.testing.assert_close(scores[~calibrating], calibration.score(errors)[~calibrating])
    assert (scores[calibrating] != calibration.score(errors)[calibrating]).any()


def test_a_single_row_is_scored_by_its_own_calibration():
    errors = errors_of(1, seed=3)
    calibration = ScoreCalibration.fit(errors, LEAST_TAILS)
    scores = cross_calibrated(calibration, errors, everything(1), LEAST_TAILS)
    torch.testing.assert_close(scores, calibration.score(errors))


def test_few_held_out_rows_raise_no_more_false_alarms_than_asked_for():
    plain, crossed = [], []
    for seed in range(60):
        errors, new = errors_of(39, seed), errors_of(1000, 1000 + seed)
        calibration = ScoreCalibration.fit(errors, LEAST_TAILS)
        scores, own = calibration.score(new), calibration.score(errors)
        held_out = cross_calibrated(calibration, errors, everything(39), LEAST_TAILS)
        # An alarm at alpha = 0.05: at most one of 39 held-out rows is as anomalous.
        plain.append((scores > own.sort().values[-2]).double().mean())
        crossed.append((scores > held_out.sort().values[-2]).double().mean())
    plain, crossed = torch.stack(plain), torch.stack(crossed)
    assert crossed.mean() < 0.05 + 2 * crossed.std() / 60**0.5
    assert crossed.mean() < plain.mean()
