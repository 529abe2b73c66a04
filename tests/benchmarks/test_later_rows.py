"""The tables whose later rows are scored are what they say."""

import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks.tables import later_rows


@pytest.mark.parametrize("kind", later_rows.ADVANCING)
def test_a_column_that_advances_never_has_an_early_value_late(kind):
    frame = later_rows.stationary(6000)
    cells = pd.Series(np.asarray(later_rows.ADVANCING[kind](frame)))

    assert not set(cells[:2000]) & set(cells[4500:])


def test_planted_anomalies_contradict_the_columns_that_go_together():
    frame = later_rows.stationary(3000)

    planted = later_rows.planted(frame)

    away = (planted[["x", "y"]] - frame[["x", "y"]].mean()) / frame[["x", "y"]].std()
    assert (away["x"] > 3).all()
    assert (away["y"] < -3).all()


def test_the_command_prints_the_figures_and_writes_them(tmp_path, monkeypatch, capsys):
    out = tmp_path / "later.csv"
    options = ["--only", "falling", "--max-iter", "5", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["later_rows", *options])

    later_rows.main()

    assert capsys.readouterr().out.splitlines()[-1].startswith("tables 1 seeds 1 | alarm rate")
    assert pd.read_csv(out)["table"].tolist() == ["falling counter"]
