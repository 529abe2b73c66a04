import numpy as np
import pandas as pd
import pytest

from benchmarks.tables.__main__ import main
from benchmarks.tables.regret import per_set, regret, regret_lines
from tests.benchmarks.labelled import labelled_table

METHODS = "anomdiff", "knn1", "knn5", "iforest"


def figures_of(methods=METHODS, n_sets=20, seed=0):
    columns = pd.MultiIndex.from_product([["AUROC", "AP"], methods], names=[None, "method"])
    values = np.random.default_rng(seed).uniform(size=(n_sets, len(columns)))
    names = pd.Index([f"set{i}" for i in range(n_sets)], name="set")
    return pd.DataFrame(values, names, columns)


@pytest.mark.parametrize("methods", [METHODS, ("anomdiff", "knn5"), (*METHODS, "knn5mean")])
def test_regret_is_that_of_a_naive_loop(methods):
    figures = figures_of(methods)

    points = regret(figures)

    assert points.is_monotonic_decreasing
    assert set(points.index) == set(figures.index)
    for name, value in points.items():
        baselines = [m for m in methods if m in ("knn1", "knn5", "iforest")]
        best = max(figures.loc[name, ("AP", method)] for method in baselines)
        assert value == pytest.approx(100 * (best - figures.loc[name, ("AP", "anomdiff")]))


def test_who_equals_the_best_baseline_has_no_regret():
    figures = figures_of()
    figures["AP", "anomdiff"] = figures["AP"][["knn1", "knn5", "iforest"]].max(axis=1)

    assert (regret(figures) == 0).all()


def test_regret_does_not_depend_on_the_order_of_methods_and_sets():
    figures = figures_of()

    points = regret(figures.iloc[::-1, ::-1])

    pd.testing.assert_series_equal(points, regret(figures))


@pytest.mark.parametrize("methods", [("knn1", "knn5"), ("anomdiff",), ("anomdiff", "knn5mean")])
def test_without_ours_or_a_baseline_there_is_no_regret(methods):
    figures = figures_of(methods)

    assert not regret_lines(figures)
    assert list(per_set(figures)) == [*methods]
    with pytest.raises(ValueError, match="need anomdiff and one of knn1"):
        regret(figures)


def test_lines_name_the_sets_of_large_regret_and_the_gain_above_neighbours():
    figures = figures_of(n_sets=4)
    precision = [[0.50, 0.58, 0.1, 0.2], [0.5, 0.3, 0.4, 0.52]] + 2 * [[0.6, 0.5, 0.4, 0.56]]
    figures[:] = np.hstack([4 * [[0.8, 0.6, 0.775, 0.9]], precision])

    first, second = regret_lines(figures)

    assert first == (
        "regret in AP against the best of knn1, knn5, iforest: mean 0.50 | 90 % quantile 6.2 | "
        "above 5 points on 1 of 4 sets (25.0 %): set0 8.0"
    )
    assert second == "above the better of knn1 and knn5: AUROC +2.5 AP +8.0"


def test_one_baseline_is_not_called_the_best():
    figures = figures_of(("mine", "knn1"), n_sets=3)

    first, second = regret_lines(figures, "mine")

    assert first.startswith("regret in AP against knn1: mean ")
    assert second.startswith("above knn1: AUROC ")


def test_per_set_is_in_per_cent_and_sorted_by_regret():
    figures = figures_of()

    table = per_set(figures)

    assert list(table) == [*METHODS, "regret"]
    pd.testing.assert_series_equal(table["regret"], regret(figures))
    naive = 100 * figures["AP"].loc[table.index]
    np.testing.assert_allclose(table[[*METHODS]], naive)


def test_the_command_prints_the_regret_before_the_means(tmp_path, capsys):
    table = labelled_table()
    np.savez(tmp_path / "1_alpha.npz", X=table.rows, y=table.anomalous.astype(int))
    command = ["--suite", "adbench", "--data", str(tmp_path), "--out", str(tmp_path / "out.csv")]
    command += ["--methods", "anomdiff,knn1", "--processes", "1", "--per-set", "--label", "mine"]
    command += ["--params", '{"max_iter": 2, "width": 8, "n_blocks": 1}']

    assert main(command) == 0

    *table, first, second, last = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["mine", "knn1", "regret"]
    assert table[-1].startswith("1_alpha ")
    assert first.startswith("regret in AP against knn1: ")
    assert second.startswith("above knn1: ")
    assert last.endswith("| sets 1")
