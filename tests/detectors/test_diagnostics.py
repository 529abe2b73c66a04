import numpy as np
import pandas as pd
import pytest

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.detectors import diagnostics
from tests.series import waves
from tests.settings import TINY_NETWORK

QUICK = {**TINY_NETWORK, "width": 32}


def rows(n, seed, shift=0.0):
    """Draw two columns that go together and one of its own."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=n)
    columns = [first, first + 0.3 * rng.normal(size=n) + shift, rng.normal(size=n)]
    return pd.DataFrame(np.stack(columns, axis=1), columns=["a", "b", "c"])


@pytest.fixture(scope="module")
def detector():
    """A detector that has trained long enough; do not change it."""
    return TabularDetector(max_iter=700, **QUICK).fit(rows(2000, seed=0))


def findings(detector, X=None):
    return detector.diagnose(X).set_index("check")


def test_all_is_well_with_easy_data_and_new_rows_like_those_of_training(detector):
    found = findings(detector, rows(500, seed=1))

    assert found["ok"].all(), found


def test_rows_that_drifted_are_told(detector):
    found = findings(detector, rows(500, seed=1, shift=1.0))

    assert not found.loc["exchangeable", "ok"]
    assert "recalibrate" in found.loc["exchangeable", "advice"]


def test_training_that_was_cut_short_is_told():
    short = TabularDetector(max_iter=20, **QUICK).fit(rows(2000, seed=0))

    assert not findings(short).loc["converged", "ok"]


def test_nothing_to_learn_is_told():
    noise = pd.DataFrame(np.random.default_rng(0).normal(size=(2000, 3)), columns=list("abc"))

    found = findings(TabularDetector(max_iter=300, **QUICK).fit(noise))

    assert not found.loc["underfitted", "ok"]


def test_a_network_too_large_for_its_rows_is_told():
    few = rows(60, seed=0)
    wide = few.assign(**{f"x{i}": np.random.default_rng(i).normal(size=60) for i in range(20)})

    found = findings(TabularDetector(max_iter=600, random_state=0, progress=False).fit(wide))

    assert not found.loc["overfitted", "ok"]


def test_samples_that_lack_a_dependence_are_told(detector, monkeypatch):
    apart = rows(2000, seed=3)
    apart["b"] = np.random.default_rng(4).permutation(apart["b"])
    monkeypatch.setattr(diagnostics, "sample_rows", lambda model, n, *_: apart[:n])

    found = findings(detector)

    assert not found.loc["samples: pairs", "ok"]
    assert "'a'" in found.loc["samples: pairs", "advice"]


def test_a_number_and_its_rank_are_no_pair(detector, monkeypatch):
    monkeypatch.setattr(diagnostics, "sample_rows", lambda model, n, *_: rows(n, seed=3) ** 3)

    found = findings(detector)

    assert not found["advice"].str.contains("rank").any()


def test_a_table_of_one_column_has_no_others_to_be_explained_by():
    detector = TabularDetector(max_iter=20, **QUICK).fit(rows(200, seed=0)[["a"]])

    assert "underfitted" not in findings(detector).index


def test_noise_drowns_columns_however_large_their_numbers():
    heavy = rows(500, seed=0)
    heavy["c"] = np.where(np.arange(500) % 2 == 0, -1.0, 1.0) * 1e3

    detector = TabularDetector(max_iter=50, **QUICK).fit(heavy)

    assert findings(detector).loc["equilibrium", "value"] < 0.1


def test_series_are_checked_without_samples():
    detector = TimeSeriesDetector(max_iter=50, window_lengths=(4, 8), **QUICK).fit(
        waves(600, seed=0)
    )

    found = findings(detector, waves(300, seed=1, start=600))

    training = ["converged", "overfitted", "underfitted"]
    assert list(found.index) == [*training, "calibration", "exchangeable"]
    assert found["advice"].str.endswith(".").all()
    assert found.loc["calibration", "value"] == 600 / 8


def test_a_short_calibration_is_a_finding():
    detector = TimeSeriesDetector(max_iter=50, **QUICK).fit(waves(600, seed=0))

    found = findings(detector).loc["calibration"]

    assert not found["ok"]
    assert "1280 normal steps" in found["advice"]
