import re

import numpy as np
import pandas as pd
import pytest

from benchmarks.common import comparison
from benchmarks.common.comparison import Split
from benchmarks.common.results import complete
from benchmarks.tables.__main__ import main
from benchmarks.tables.methods import METHODS, TABLES
from benchmarks.tables.protocols import shuffled
from benchmarks.tables.reading import find_sets, plain_name
from tests.benchmarks.labelled import labelled_table


@pytest.fixture
def adbench(tmp_path):
    folder = tmp_path / "data" / "adbench"
    folder.mkdir(parents=True)
    for number, name in [(1, "alpha"), (22, "beta.gamma")]:
        table = labelled_table(seed=number)
        np.savez(folder / f"{number}_{name}.npz", X=table.rows, y=table.anomalous.astype(int))
    return folder


@pytest.fixture
def run(tmp_path, adbench, capsys):
    def call(*more, suite="adbench", data=adbench, out="out.csv", methods="knn1,knn5"):
        command = ["--suite", suite, "--data", str(data), "--methods", methods]
        command += ["--processes", "1", "--out", str(tmp_path / out), *map(str, more)]
        code = main(command)
        return code, capsys.readouterr(), pd.read_csv(tmp_path / out)

    return call


@pytest.mark.parametrize(("method", "k"), [("knn1", 1), ("knn5", 5), ("knn5mean", 5)])
def test_neighbours_are_those_of_a_naive_loop(method, k):
    split = shuffled(labelled_table(), seed=0)
    std = split.train.std(axis=0)

    scores = METHODS[method](split.train, 0)(split.test)

    for row, score in zip(split.test, scores, strict=True):
        distances = sorted(np.linalg.norm((row - other) / std) for other in split.train)
        expected = np.mean(distances[:k]) if method == "knn5mean" else distances[k - 1]
        assert score == pytest.approx(expected)


def test_a_row_is_not_its_own_neighbour():
    rows = labelled_table().rows

    scores = METHODS["knn1"](rows, 0)(rows)

    assert (scores > 0).all()


def test_baselines_read_raw_tables():
    n = 60
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": np.arange(n),
            "code": [f"M{i}" for i in range(n)],
            "text number": [" 1.5", ".", "2"] * 20,
            "kind": ["a", "?", None] * 20,
            7: rng.normal(size=n),
        }
    )
    odd = frame.iloc[:2].assign(kind="never seen", **{"text number": "oops"})

    scores = {name: METHODS[name](frame, 0)(odd) for name in ("knn1", "iforest")}

    assert all(np.isfinite(values).all() for values in scores.values())


def test_one_row_per_set_seed_and_method(run):
    code, out, results = run("--seeds", 2)

    assert code == 0
    assert list(results.columns) == TABLES.columns
    assert len(results) == len(results[TABLES.columns[:4]].drop_duplicates()) == 2 * 2 * 2
    assert set(results["set"]) == {"1_alpha", "22_beta.gamma"}
    assert (results[["n_train", "n_test", "n_columns"]] == [20, 27, 3]).all(axis=None)
    assert "failed" not in out.err


def test_large_sets_get_one_seed(run, monkeypatch):
    monkeypatch.setattr("benchmarks.tables.__main__.ONE_SEED_FROM", 47)

    _, _, results = run("--seeds", 3)

    assert set(results["seed"]) == {0}


def test_the_last_line_is_the_means(run):
    _, out, results = run("--seeds", 2)

    line = out.out.splitlines()[-1]
    assert re.fullmatch(
        r"knn1 AUROC \d+\.\d\d AP \d+\.\d\d \| knn5 AUROC \d+\.\d\d AP \d+\.\d\d \| sets 2", line
    )
    mean = results[results["method"] == "knn1"].groupby("set")["auroc"].mean().mean()
    assert line.startswith(f"knn1 AUROC {100 * mean:.2f} ")


def test_a_second_run_measures_only_what_is_missing(run, monkeypatch, tmp_path):
    _, first, _ = run()
    half = (tmp_path / "out.csv").read_text().splitlines(keepends=True)
    (tmp_path / "out.csv").write_text("".join(half[:-1]) + half[-1][:9])  # killed while writing
    measured = []
    measure = comparison.measure
    monkeypatch.setattr(comparison, "measure", lambda task: measured.append(task) or measure(task))

    _, second, results = run()

    assert len(measured) == 1
    assert len(results) == 4
    assert second.out == first.out


def test_a_bad_set_is_one_line_and_the_run_goes_on(run, adbench):
    rows = np.zeros((30, 2))
    np.savez(adbench / "5_normal.npz", X=rows, y=np.zeros(30))
    (adbench / "6_torn.npz").write_bytes(b"PK")

    code, out, results = run("--seeds", 2)

    lines = [line for line in out.err.splitlines() if "failed:" in line]
    assert code == 1
    assert len([line for line in lines if "6_torn" in line]) == 1
    assert len([line for line in lines if "5_normal" in line]) == 2  # one per method
    assert set(results["set"]) == {"1_alpha", "22_beta.gamma"}
    assert out.out.splitlines()[-1].endswith("sets 2")


def test_several_processes_measure_the_same(run):
    _, one, _ = run()
    _, two, _ = run("--processes", "2", out="two.csv")

    assert one.out == two.out


def test_published_means_are_over_the_same_sets(run, tmp_path):
    file = tmp_path / "figures.csv"
    file.write_text("Dataset,KNN,Best\nalpha,10,30\nbeta.gamma,20,50\nother,0,0\n")

    _, out, _ = run("--published", file)

    assert "figures.csv, 2 of 2 sets: Best 40.00 | KNN 15.00" in out.out
    assert out.out.splitlines()[-1].endswith("sets 2")


def test_means_count_only_sets_with_all_methods():
    results = pd.DataFrame([["x", 0, "knn1", "shuffled", 0.5, 0.5]])
    results.columns = [*TABLES.columns[:4], "auroc", "ap"]

    means = complete(results, TABLES.measures, ["knn1"])

    assert means["AUROC", "knn1"].tolist() == [0.5]
    assert complete(results, TABLES.measures, ["knn1", "knn5"]).empty


def test_other_parameters_never_pass_for_the_default(run):
    tiny = '{"max_iter": 2, "width": 8, "n_blocks": 1}'

    _, _, results = run("--params", tiny, "--sets", "alpha", methods="anomdiff")
    _, _, labelled_results = run("--params", tiny, "--label", "mine", methods="anomdiff")

    assert set(results["method"]) == {"anomdiff[max_iter=2,width=8,n_blocks=1]"}
    assert "mine" in set(labelled_results["method"])


def test_oddbench_comes_split(run, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    split = shuffled(labelled_table(), seed=0)
    parts = {"train": split.train, "test": split.test, "test_labels": split.anomalous.astype(int)}
    np.savez(folder / "Some.npz", **parts)

    read = find_sets("oddbench", folder)[0].read()
    _, _, results = run(suite="oddbench", data=folder)

    assert isinstance(read, Split)
    np.testing.assert_array_equal(read.train, split.train)
    assert set(results["protocol"]) == {"fixed"}


def test_mixed_tables_lose_their_label_and_identifiers(run, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    n = 40
    frame = pd.DataFrame({"PolicyNumber": range(n), "Make": ["Honda", "Ford"] * 20, "Age": 30})
    frame["FraudFound_P"] = [1, *[0] * (n - 1)]
    frame.to_csv(folder / "fraud_oracle.csv", index=False, encoding="utf-8-sig")
    (folder / "own.data").write_text("a,1\nb,1\na,2\n")
    (folder / "labels.json").write_text('{"own": {"column": 1, "normal": "1", "header": false}}')
    (folder / "unknown.csv").write_text("a\n1\n")

    sets = {each.name: each.read() for each in find_sets("mixed", tmp_path)}

    assert set(sets) == {"fraud_oracle", "own"}
    assert list(sets["fraud_oracle"].rows.columns) == ["Make", "Age"]
    assert sets["fraud_oracle"].anomalous.tolist() == [True] + [False] * (n - 1)
    assert sets["own"].anomalous.tolist() == [False, False, True]


@pytest.mark.parametrize("data", ["data", "data/adbench"])
def test_the_folder_may_be_that_of_the_files_or_its_parent(adbench, tmp_path, data):
    sets = find_sets("adbench", tmp_path / data, ["Beta.Gamma"])

    assert [each.name for each in sets] == ["22_beta.gamma"]


def test_unknown_sets_methods_and_empty_folders_are_named(run, tmp_path, capsys):
    for more, reason in [
        ({"methods": "knn9"}, "knn9"),
        ({"data": tmp_path}, "has none"),
    ]:
        with pytest.raises(SystemExit):
            run(**more, suite="oddbench")
        assert reason in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("--sets", "nowhere")
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "plain"),
    [("22_magic.gamma", "magic.gamma"), ("fraud_oracle", "fraud_oracle"), ("ALOI", "aloi")],
)
def test_plain_names(name, plain):
    assert plain_name(name) == plain
