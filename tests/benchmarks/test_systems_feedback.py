"""The benchmark of verdicts: batches that share no row, and figures that a loop would count."""

import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks.systems import feedback
from benchmarks.tables.reading import Table


@pytest.mark.parametrize("seed", range(3))
def test_training_and_batches_share_no_row_and_training_holds_no_anomaly(seed):
    anomalous = np.random.default_rng(seed).random(300) < 0.1
    table = Table(pd.DataFrame({"number": np.arange(300)}), anomalous)

    train, *both = feedback.batches(table, seed)

    parts = [set(train["number"]), *(set(each.rows["number"]) for each in both)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 300
    assert not anomalous[train["number"]].any()
    for each in both:
        np.testing.assert_array_equal(each.anomalous, anomalous[each.rows["number"]])
        assert abs(each.anomalous.sum() - anomalous.sum() / 2) < 1


def test_the_command_prints_precision_before_and_after_and_writes_it(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    failed = rng.random(600) < 0.2
    frame = pd.DataFrame(rng.normal(size=(600, 3)) + 4 * failed[:, None], columns=list("abc"))
    frame.assign(**{"Machine failure": failed * 1}).to_csv(tmp_path / "ai4i2020.csv", index=False)
    out = tmp_path / "out" / "feedback.csv"
    options = ["--data", tmp_path, "--sets", "ai4i2020", "--seeds", 1, "--max-iter", 5]
    monkeypatch.setattr(sys, "argv", ["feedback", *map(str, options), "--out", str(out)])

    feedback.main()

    last = capsys.readouterr().out.splitlines()[-1]
    found = pd.read_csv(out).iloc[0]
    figures = f"before {found['before']:.3f} after {found['after']:.3f}"
    assert last == f"feedback | precision@100 ai4i2020 {figures} | mean {figures}"
    assert found["before"] > 0.4
    assert found["alarms"] >= found["muted"] >= found["muted_anomalies"]
