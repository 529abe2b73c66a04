import re

import numpy as np
import pandas as pd
import pytest

from benchmarks.common.comparison import Split
from benchmarks.series.__main__ import main
from benchmarks.series.generated import KINDS, N_TRAIN, SHAPES, generate
from benchmarks.series.reading import find_asd, find_skab
from tests.benchmarks.labelled import labelled_series


@pytest.fixture
def suite(tmp_path, capsys, fake):
    def call(name, *more):
        out = tmp_path / f"{name}.csv"
        command = ["--suite", name, "--out", str(out), "--processes", "1", *map(str, more)]
        assert main(command) == 0
        return capsys.readouterr().out.splitlines()[-1], pd.read_csv(out)

    return call


@pytest.fixture
def skab(tmp_path):
    for name in ("anomaly-free/clean", "valve1/0", "other/7"):
        path = tmp_path / "skab" / f"{name}.csv"
        path.parent.mkdir(parents=True)
        values, anomalous = labelled_series(500, n_channels=2)
        frame = pd.DataFrame(values, columns=["Current", "Pressure"])
        if "clean" not in name:
            frame = frame.assign(anomaly=anomalous.astype(float), changepoint=0.0)
        frame.rename_axis("datetime").to_csv(path, sep=";")
    return tmp_path / "skab"


@pytest.mark.parametrize(("train", "n_train"), [("first", 400), ("anomaly-free", 500)])
def test_skab_fits_on_the_first_rows_or_on_the_clean_run(skab, train, n_train):
    runs = find_skab(skab, train)

    series = runs[1].read()

    assert [each.name for each in runs] == ["other/7", "valve1/0"]
    assert series.train.shape == (n_train, 2)
    assert series.test.shape == (500, 2)
    assert series.anomalous.sum() == 10
    assert len(find_skab(skab)[1].read().train) == 400


def test_skab_prints_means_over_runs(suite, skab):
    line, results = suite("skab", "--data", skab)

    assert set(results["method"]) == {"anomdiff", "iforest", "knn"}
    assert re.fullmatch(r"skab: (\S+ VUS-PR [01]\.\d+ AUC-PR [01]\.\d+ \| ){3}runs 2", line)


def test_asd_has_a_row_per_server_and_method(suite, tmp_path):
    values, anomalous = labelled_series(n_channels=3)
    parts = {"train": values[:100], "test": values, "test_label": anomalous.astype(float)}
    file = tmp_path / "panel.npz"
    np.savez(file, **{f"{name}_{part}": v for name in "ab" for part, v in parts.items()})

    servers = find_asd(tmp_path)
    line, results = suite("asd", "--data", file, "--methods", "anomdiff,knn")

    assert [server.name for server in servers] == ["a", "b"]
    assert isinstance(servers[0].read(), Split)
    assert len(results) == 4
    assert line.endswith("| servers 2")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_generated_series_depend_on_the_seed_only_and_start_clean(shape, kind):
    first, again, other = (generate(shape, kind, seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)
    assert not first.anomalous[:N_TRAIN].any()
    starts = np.diff(first.anomalous.astype(int)) == 1
    assert starts.sum() == 8
    assert (first.anomalous.sum() == 8) == (kind == "spike")


def test_generated_prints_both_kinds(suite):
    line, results = suite("generated", "--seeds", 1)

    assert len(results) == 3 * len(SHAPES) * len(KINDS)
    assert re.match(r"shift: anomdiff .*floor .* \| spike: anomdiff .*floor ", line)
    assert line.endswith(f"| series {len(SHAPES) * len(KINDS)}")
