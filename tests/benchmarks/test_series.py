import re

import numpy as np
import pandas as pd
import pytest

from anomdiff.metrics.detection import period, vus_pr
from benchmarks.common import comparison
from benchmarks.common.results import ResultsFile, complete
from benchmarks.series.__main__ import main
from benchmarks.series.methods import METHODS, SERIES
from benchmarks.series.reading import find_tsb
from benchmarks.series.suites import best_published, families, far_below, kinds, read_published
from tests.benchmarks.labelled import labelled_series

NAMES = [
    "001_NAB_id_1_Facility_tr_100_1st_151.csv",
    "002_NAB_id_2_Web_tr_120_1st_151.csv",
    "010_UCR_id_3_Medical_tr_100_1st_151.csv",
]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        values, anomalous = labelled_series(seed=seed)
        frame = pd.DataFrame({"Data": values[:, 0], "Label": anomalous.astype(int)})
        frame.to_csv(folder / (name + ".gz" * (seed % 2)), index=False)
    (folder / "notes.csv").write_text("nothing\n")
    return folder


@pytest.fixture
def run(tmp_path, folder, capsys):
    def call(*more, data=folder, out="out.csv", methods="iforest,knn"):
        command = ["--data", str(data), "--methods", methods, "--processes", "1"]
        code = main([*command, "--out", str(tmp_path / out), *map(str, more)])
        return code, capsys.readouterr(), pd.read_csv(tmp_path / out)

    return call


def test_the_name_tells_the_family_and_the_training_prefix(folder):
    files = {file.name: file for file in find_tsb(folder)}

    series = files[NAMES[1]].read()

    assert set(files) == set(NAMES)
    assert files[NAMES[2]].names["family"] == "UCR"
    assert series.train.shape == (120, 1)
    assert series.test.shape == (240, 1)
    np.testing.assert_array_equal(np.flatnonzero(series.anomalous), np.arange(150, 160))


@pytest.mark.parametrize(
    ("parts", "most", "kept"),
    [([], None, [0, 1, 2]), (["UCR", "002"], None, [1, 2]), ([], 2, [0, 1]), (["NAB"], 1, [0])],
)
def test_files_are_chosen_by_name_and_number(folder, parts, most, kept):
    names = {file.name for file in find_tsb(folder, parts, most)}

    assert names == {NAMES[i] for i in kept}


def test_no_file_is_an_error_that_says_what_is_needed(folder):
    with pytest.raises(ValueError, match="NNN_FAMILY.*YAHOO"):
        find_tsb(folder, ["YAHOO"])


def test_one_row_per_file_and_method(run):
    code, out, results = run()

    assert code == 0
    assert list(results.columns) == SERIES.columns
    assert len(results) == len(results[["file", "method"]].drop_duplicates()) == 6
    assert set(results["family"]) == {"NAB", "UCR"}
    assert (results[["n", "n_channels"]] == [240, 1]).all(axis=None)
    assert results[["vus_pr", "vus_roc", "auc_pr", "auc_roc"]].stack().between(0, 1).all()
    assert "failed" not in out.err


def test_the_window_is_the_period_of_the_whole_series(run, folder):
    _, _, results = run(methods="median")

    row = results[results["file"] == NAMES[0]].iloc[0]
    series = find_tsb(folder, [NAMES[0]])[0].read()
    scores = METHODS["median"](series.train, 0, 1)(series.test)
    assert row["vus_pr"] == pytest.approx(
        vus_pr(series.anomalous, scores, period(series.test)), abs=1e-6
    )


def test_the_last_line_is_the_means(run):
    _, out, results = run()

    line = out.out.splitlines()[-1]
    mean = results[results["method"] == "iforest"]["vus_pr"].mean()
    assert re.fullmatch(r"iforest VUS-PR 0\.\d{3} \| knn VUS-PR [01]\.\d{3} \| files 3", line)
    assert line.startswith(f"iforest VUS-PR {mean:.3f} ")


def test_with_published_figures_only_their_files_count(run, tables):
    _, out, results = run("--published", *tables)

    line = out.out.splitlines()[-1]
    known = results[results["file"].isin([NAMES[0], NAMES[2]])]
    mean = known[known["method"] == "iforest"]["vus_pr"].mean()
    assert line.startswith(f"iforest VUS-PR {mean:.3f} | knn VUS-PR ")
    assert line.endswith(" | best published KNN 0.550 (same files) | files 2")
    assert re.search(r"NAB +1 .*MMPAD +0\.6\d* *\n", out.out)
    assert re.search(r"UCR +1 .*KNN +0\.9\d* *\n", out.out)


def test_a_second_run_measures_only_what_is_missing(run, monkeypatch, tmp_path):
    _, first, _ = run()
    half = (tmp_path / "out.csv").read_text().splitlines(keepends=True)
    (tmp_path / "out.csv").write_text("".join(half[:-1]) + half[-1][:9])  # killed while writing
    measured = []
    measure = comparison.measure
    monkeypatch.setattr(comparison, "measure", lambda task: measured.append(task) or measure(task))

    _, second, results = run()

    assert len(measured) == 1
    assert len(results) == 6
    assert second.out == first.out


def test_other_columns_are_refused(tmp_path):
    (tmp_path / "out.csv").write_text("a,b\n")

    with pytest.raises(ValueError, match="has others"):
        ResultsFile(tmp_path / "out.csv", SERIES.columns, SERIES.key)


def test_a_bad_file_is_a_line_and_the_run_goes_on(run, folder):
    (folder / "003_NAB_id_3_Web_tr_10_1st_20.csv").write_text("Data,Label\n1,0\n2,0\n3,0\n4,0\n")

    code, out, results = run()

    assert code == 1
    assert len([line for line in out.err.splitlines() if "failed: 003" in line]) == 2
    assert set(results["file"]) == set(NAMES)
    assert out.out.splitlines()[-1].endswith("files 3")


def test_a_method_that_fails_everywhere_leaves_no_means(run, monkeypatch):
    def fail(train, seed, window):
        raise ImportError("not there yet")

    monkeypatch.setitem(METHODS, "knn", fail)

    code, out, results = run(methods="knn")

    assert code == 1
    assert results.empty
    assert out.out.splitlines()[-1] == "no file has results of all methods"


def test_several_processes_measure_the_same(run):
    _, one, _ = run("--max-files", 2)
    _, two, _ = run("--max-files", 2, "--processes", 2, out="two.csv")

    assert one.out == two.out


def test_our_detector_is_fitted_to_the_prefix_or_screens_the_whole(run, fake):
    _, out, results = run("--params", '{"offset": 1}', methods="anomdiff,anomdiff-transductive,knn")
    _, _, again = run(methods="anomdiff")

    labels = {"anomdiff[offset=1]", "anomdiff-transductive[offset=1]", "knn"}
    assert set(results["method"]) == labels
    assert set(again["method"]) == labels | {"anomdiff"}
    assert out.out.splitlines()[-1].endswith("files 3")


def test_unknown_methods_are_named(run, capsys):
    with pytest.raises(SystemExit):
        run(methods="oracle")

    assert "oracle" in capsys.readouterr().err


@pytest.fixture
def tables(tmp_path):
    """Published figures of two of the three files, in the three layouts."""
    plain = tmp_path / "tsbad_U_perfile_VUS-PR.csv"
    plain.write_text(
        f"file,KNN,SR,ts_len\n{NAMES[0]},0.2,0.3,240\n{NAMES[2]},0.9,0.1,240\nx,1,1,9\n"
    )
    heads = tmp_path / "tsbad_U_TSPulse_perfile.csv"
    heads.write_text(f",ZS-time,dataset\n{NAMES[0]},0.4,NAB\n{NAMES[2]},0.5,UCR\n")
    single = tmp_path / "tsbad_U_MMPAD_perfile.csv"
    single.write_text(f"file,Time,AUC-PR,VUS-PR\n{NAMES[0]},9,0.1,0.6\n")
    return [plain, heads, single]


def figures_of(rows):
    """Figures as from `complete`: (file, family, method, VUS-PR, AUC-PR)."""
    results = pd.DataFrame(rows, columns=["file", "family", "method", "vus_pr", "auc_pr"])
    return complete(results, SERIES.measures, list(results["method"].unique()))


def test_published_tables_are_joined_by_file(tables):
    published = read_published(tables)

    assert set(published) == {"KNN", "SR", "TSPulse ZS-time", "MMPAD"}
    assert published.loc[NAMES[0]].to_dict() == pytest.approx(
        {"KNN": 0.2, "SR": 0.3, "TSPulse ZS-time": 0.4, "MMPAD": 0.6}
    )


def test_the_best_published_method_has_figures_for_all_the_files(tables):
    published = read_published(tables)

    assert best_published(published, [NAMES[0]]) == ("MMPAD", pytest.approx(0.6))
    assert best_published(published, [NAMES[0], NAMES[2]]) == ("KNN", pytest.approx(0.55))
    assert best_published(published, ["not there"])[0] == "none"


def test_tables_of_different_files_are_one_table(tmp_path):
    for name, file in [("tsbad_U_perfile", "a.csv"), ("tsbad_M_perfile", "b.csv")]:
        (tmp_path / f"{name}.csv").write_text(f"file,KNN\n{file},0.5\n")

    published = read_published([*tmp_path.glob("*.csv")])

    assert published["KNN"].to_dict() == {"a.csv": 0.5, "b.csv": 0.5}


def test_families_show_where_a_method_is_far_below(tables):
    rows = [(NAMES[0], "NAB", "anomdiff", 0.3, 0.2), (NAMES[2], "UCR", "anomdiff", 0.85, 0.7)]

    table = families(figures_of(rows), read_published(tables))

    assert table["published", "best"].to_dict() == {"NAB": "MMPAD", "UCR": "KNN"}
    assert table["AUC-PR", "anomdiff"].to_dict() == {"NAB": 0.2, "UCR": 0.7}
    assert far_below(table, "anomdiff") == "NAB 0.300"


def test_means_count_only_files_with_all_methods():
    rows = [("a", "NAB", "x", 0.5, 0.5), ("a", "NAB", "y", 0.5, 0.5), ("b", "NAB", "x", 0.1, 0.1)]

    figures = figures_of(rows)

    assert figures.index.tolist() == [("a", "NAB")]


def test_the_floor_is_the_better_simple_method_of_each_measure():
    rows = [
        ("a", "spike seasonal", "anomdiff", 0.9, 0.8),
        ("a", "spike seasonal", "linear16", 0.6, 0.1),
        ("a", "spike seasonal", "median", 0.5, 0.7),
    ]

    line = kinds(figures_of(rows))

    assert line == (
        "spike: anomdiff VUS-PR 0.900 AUC-PR 0.800, "
        "floor VUS-PR 0.600 (linear16) AUC-PR 0.700 (median)"
    )
