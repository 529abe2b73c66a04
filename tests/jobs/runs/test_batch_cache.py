import numpy as np
import pandas as pd
import pytest

from anomdiff.jobs.runs.batch_cache import BatchCache, InputDigest


class Detector:
    """Counts what it scores."""

    alpha, threshold_ = 0.01, 3.0

    def __init__(self, seed=0):
        self.calibration_scores_ = np.random.default_rng(seed).normal(size=10)
        self.n_scored = 0

    def score_frame(self, rows):
        self.n_scored += len(rows)
        scores = rows["amount"] / 3
        known = {"anomaly_score": scores, "is_anomaly": scores > 2, "channel": rows["name"]}
        return pd.DataFrame(known, index=rows.index)


@pytest.fixture
def batches():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"amount": rng.normal(size=40), "name": rng.choice(list("abc"), 40)})
    frame.loc[3, "amount"] = np.nan
    return [frame[start : start + 10] for start in range(0, 40, 10)]


def _scored(detector, folder, batches):
    cache = BatchCache(detector, folder)
    return pd.concat([cache.score(each) for each in batches]), cache


def test_a_run_that_goes_on_scores_only_what_is_left(tmp_path, batches):
    folder = tmp_path / "scores"
    unbroken, _ = _scored(Detector(), tmp_path / "other", batches)
    _scored(Detector(), folder, batches[:3])  # dies in the fourth batch: the third is not kept yet
    detector = Detector()

    found, cache = _scored(detector, folder, batches)

    pd.testing.assert_frame_equal(found, unbroken)
    assert cache.n_restored == 2
    assert detector.n_scored == 20


def test_scores_of_another_model_or_of_other_rows_are_not_taken(tmp_path, batches):
    _scored(Detector(), tmp_path, batches)
    changed = [each.assign(amount=each["amount"] + 1e-9) for each in batches]
    other = [each.rename(columns={"name": "name"}).astype({"name": "category"}) for each in batches]

    assert _scored(Detector(1), tmp_path, batches)[1].n_restored == 0
    assert _scored(Detector(), tmp_path, changed)[1].n_restored == 0
    assert _scored(Detector(), tmp_path, other)[1].n_restored == 0


def test_scores_that_were_cut_off_are_made_again(tmp_path, batches):
    whole, _ = _scored(Detector(), tmp_path, batches)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-20])

    found, cache = _scored(Detector(), tmp_path, batches)

    assert cache.n_restored == 0
    pd.testing.assert_frame_equal(found, whole)


def test_a_single_batch_is_not_kept_and_nothing_is_left_after_all(tmp_path, batches):
    folder = tmp_path / "scores"
    _scored(Detector(), folder, batches[:1])
    assert not folder.exists()

    _, cache = _scored(Detector(), folder, batches)
    assert folder.exists()
    cache.clear()
    assert not folder.exists()


def test_the_digest_of_the_input_depends_on_rows_and_order_and_not_on_batches(batches):
    def digest(several):
        found = InputDigest()
        for each in several:
            found.add(each)
        return found.hexdigest()

    assert digest(batches) == digest([pd.concat(batches)])
    assert digest(batches) != digest(batches[::-1])
    assert digest(batches) != digest(batches[:3])
