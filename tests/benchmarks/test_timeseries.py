import re

import numpy as np
import pandas as pd
import pytest

import anomdiff
from anomdiff.metrics.detection import period, vus_pr
from benchmarks import series_alarms, series_runs, series_suites, timeseries
from benchmarks.series_files import Series, SkabRun, TsbFile, find_asd, find_skab, find_tsb
from benchmarks.series_generated import KINDS, N_TRAIN, SHAPES, Generated, kinds
from benchmarks.series_methods import METHODS, to_points
from benchmarks.series_results import (
    COLUMNS,
    best_published,
    complete,
    families,
    far_below,
    read_published,
    series_file,
)
from benchmarks.series_speed import panel

NAMES = [
    "001_NAB_id_1_Facility_tr_100_1st_151.csv",
    "002_NAB_id_2_Web_tr_120_1st_151.csv",
    "010_UCR_id_3_Medical_tr_100_1st_151.csv",
]


def labelled(n_rows=240, n_channels=1, seed=0):
    """A sine with noise, and a burst of other values from row 150 on."""
    rng = np.random.default_rng(seed)
    anomalous = np.isin(np.arange(n_rows), np.arange(150, 160))
    values = np.sin(np.arange(n_rows) * 2 * np.pi / 12)[:, None] + 0.1 * rng.normal(
        size=(n_rows, n_channels)
    )
    return values + 3 * anomalous[:, None] * rng.normal(size=values.shape), anomalous


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        values, anomalous = labelled(seed=seed)
        frame = pd.DataFrame({"Data": values[:, 0], "Label": anomalous.astype(int)})
        frame.to_csv(folder / (name + ".gz" * (seed % 2)), index=False)
    (folder / "notes.csv").write_text("nothing\n")
    return folder


@pytest.fixture
def run(tmp_path, folder, capsys):
    def call(*more, data=folder, out="out.csv", methods="iforest,knn"):
        command = ["--data", str(data), "--methods", methods, "--processes", "1"]
        code = timeseries.main([*command, "--out", str(tmp_path / out), *map(str, more)])
        return code, capsys.readouterr(), pd.read_csv(tmp_path / out)

    return call


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


class Fake:
    """Scores a row by its distance from the training mean; no window, so a stream is exact."""

    def __init__(self, *, random_state=None, progress=True, series=None, time=None, offset=0):
        self.names, self.offset = [series, time], offset

    def fit(self, X):
        self.mean_ = self._values(X).mean(axis=0)
        return self

    def score_frame(self, X):
        score = np.abs(self._values(X) - self.mean_).mean(axis=1) + self.offset
        return pd.DataFrame({"anomaly_score": score}, index=getattr(X, "index", None))

    score_next = score_frame

    def finish(self):
        return pd.DataFrame({"anomaly_score": []})

    def screen(self, X):
        return self.fit(X).score_frame(X)

    def _values(self, X):
        return np.asarray(pd.DataFrame(X).drop(columns=self.names, errors="ignore"), dtype=float)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(anomdiff, "TimeSeriesDetector", Fake, raising=False)


def figures_of(rows):
    """Figures as from `complete`: (file, family, method, VUS-PR, AUC-PR)."""
    results = pd.DataFrame(rows, columns=["file", "family", "method", "vus_pr", "auc_pr"])
    keys = set(zip(results["file"], results["method"], strict=True))
    return complete(results, keys, list(results["method"].unique()))


def test_the_name_tells_the_family_and_the_training_prefix(folder):
    files = {file.name: file for file in find_tsb(folder)}

    series = files[NAMES[1]].read()

    assert set(files) == set(NAMES)
    assert files[NAMES[2]].family == "UCR"
    assert series.train.shape == (120, 1)
    assert series.whole.shape == (240, 1)
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


@pytest.mark.parametrize("window", [1, 6, 7])
def test_points_get_the_score_of_the_window_around_them(window):
    scores = np.arange(20.0 - window + 1)

    points = to_points(scores, 20)

    before = window // 2
    assert len(points) == 20
    np.testing.assert_array_equal(points[before : before + len(scores)], scores)


@pytest.mark.parametrize("method", ["iforest", "knn", "linear16", "median"])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_baselines_score_every_row_and_find_the_burst(method, n_channels):
    values, anomalous = labelled(n_channels=n_channels)

    scores = METHODS[method](values[:100], 12, 0)(values)

    assert scores.shape == (240,)
    assert scores[anomalous].mean() > np.quantile(scores, 0.9)


def test_the_matrix_profile_is_that_of_a_naive_loop(monkeypatch):
    def stump(channel, window):
        windows = np.lib.stride_tricks.sliding_window_view(channel, window)
        scaled = windows - windows.mean(axis=1, keepdims=True)
        scaled /= scaled.std(axis=1, keepdims=True)
        distances = np.linalg.norm(scaled[:, None] - scaled[None], axis=2)
        rows = np.arange(len(windows))
        distances[np.abs(rows[:, None] - rows) <= np.ceil(window / 4)] = np.inf
        return distances.min(axis=1)[:, None].astype(object)

    monkeypatch.setattr("benchmarks.series_methods.compiled_stump", lambda: stump)
    values, anomalous = labelled(n_channels=2)

    scores = METHODS["matrixprofile"](values[:100], 12, 0)(values)

    profiles = [stump(channel, 12)[:, 0].astype(float) for channel in values.T]
    np.testing.assert_allclose(scores[6:-5], np.mean(profiles, axis=0))
    assert scores[0] == scores.min()
    assert scores[anomalous].mean() > scores[~anomalous].mean()


def test_knn_is_that_of_a_naive_loop():
    values, _ = labelled(n_channels=2)
    train = values[:60]

    scores = METHODS["knn"](train, 5, 0)(values)

    scaled = (values - train.mean(axis=0)) / train.std(axis=0)
    known = [scaled[i : i + 5] for i in range(56)]
    for row in (2, 100, 237):
        window = scaled[row - 2 : row + 3]
        assert scores[row] == pytest.approx(
            min(np.linalg.norm(window - other) for other in known), abs=1e-3
        )


def test_one_row_per_file_and_method(run):
    code, out, results = run()

    assert code == 0
    assert list(results.columns) == COLUMNS
    assert len(results) == len(results[["file", "method"]].drop_duplicates()) == 6
    assert set(results["family"]) == {"NAB", "UCR"}
    assert (results[["n", "n_channels"]] == [240, 1]).all(axis=None)
    assert results[["vus_pr", "vus_roc", "auc_pr", "auc_roc"]].stack().between(0, 1).all()
    assert "failed" not in out.err


def test_the_window_is_the_period_of_the_whole_series(run, folder):
    _, _, results = run(methods="median")

    row = results[results["file"] == NAMES[0]].iloc[0]
    series = TsbFile(folder / NAMES[0]).read()
    scores = METHODS["median"](series.train, 1, 0)(series.whole)
    assert row["vus_pr"] == pytest.approx(
        vus_pr(series.anomalous, scores, period(series.whole)), abs=1e-6
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


def test_a_second_run_measures_only_what_is_missing(run, monkeypatch, tmp_path):
    _, first, _ = run()
    half = (tmp_path / "out.csv").read_text().splitlines(keepends=True)
    (tmp_path / "out.csv").write_text("".join(half[:-1]) + half[-1][:9])  # killed while writing
    measured = []
    measure = series_runs.measure
    monkeypatch.setattr(series_runs, "measure", lambda task: measured.append(task) or measure(task))

    _, second, results = run()

    assert len(measured) == 1
    assert len(results) == 6
    assert second.out == first.out


def test_other_columns_are_refused(tmp_path):
    (tmp_path / "out.csv").write_text("a,b\n")

    with pytest.raises(ValueError, match="has others"):
        series_file(tmp_path / "out.csv")


def test_a_bad_file_is_a_line_and_the_run_goes_on(run, folder):
    (folder / "003_NAB_id_3_Web_tr_10_1st_20.csv").write_text("Data,Label\n1,0\n2,0\n3,0\n4,0\n")

    code, out, results = run()

    assert code == 1
    assert len([line for line in out.err.splitlines() if "failed: 003" in line]) == 2
    assert set(results["file"]) == set(NAMES)
    assert out.out.splitlines()[-1].endswith("files 3")


def test_a_method_that_fails_everywhere_leaves_no_means(run, monkeypatch):
    def fail(train, window, seed):
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
def suite(tmp_path, capsys, fake):
    def call(name, *more):
        out = tmp_path / f"{name}.csv"
        command = ["--suite", name, "--out", str(out), "--processes", "1", *map(str, more)]
        assert series_suites.main(command) == 0
        return capsys.readouterr().out.splitlines()[-1], pd.read_csv(out)

    return call


@pytest.fixture
def skab(tmp_path):
    for name in ("anomaly-free/clean", "valve1/0", "other/7"):
        path = tmp_path / "skab" / f"{name}.csv"
        path.parent.mkdir(parents=True)
        values, anomalous = labelled(500, n_channels=2)
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
    assert series.whole.shape == (500, 2)
    assert series.anomalous.sum() == 10
    assert SkabRun.train == "first"


def test_skab_prints_means_over_runs(suite, skab):
    line, results = suite("skab", "--data", skab)

    assert set(results["method"]) == {"anomdiff", "iforest", "knn"}
    assert re.fullmatch(r"skab: (\S+ VUS-PR [01]\.\d+ AUC-PR [01]\.\d+ \| ){3}runs 2", line)


def test_asd_has_a_row_per_server_and_method(suite, tmp_path):
    values, anomalous = labelled(n_channels=3)
    parts = {"train": values[:100], "test": values, "test_label": anomalous.astype(float)}
    file = tmp_path / "panel.npz"
    np.savez(file, **{f"{name}_{part}": v for name in "ab" for part, v in parts.items()})

    servers = find_asd(tmp_path)
    line, results = suite("asd", "--data", file, "--methods", "anomdiff,knn")

    assert [server.name for server in servers] == ["a", "b"]
    assert isinstance(servers[0].read(), Series)
    assert len(results) == 4
    assert line.endswith("| servers 2")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_generated_series_depend_on_the_seed_only_and_start_clean(shape, kind):
    first, again, other = (Generated(shape, kind, seed).read() for seed in (1, 1, 2))

    np.testing.assert_array_equal(first.whole, again.whole)
    assert not np.array_equal(first.whole, other.whole)
    assert not first.anomalous[:N_TRAIN].any()
    starts = np.diff(first.anomalous.astype(int)) == 1
    assert starts.sum() == 8
    assert (first.anomalous.sum() == 8) == (kind == "spike")


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


def test_generated_prints_both_kinds(suite):
    line, results = suite("generated", "--seeds", 1)

    assert len(results) == 3 * len(SHAPES) * len(KINDS)
    assert re.match(r"shift: anomdiff .*floor .* \| spike: anomdiff .*floor ", line)
    assert line.endswith(f"| series {len(SHAPES) * len(KINDS)}")


def test_panels_are_long_frames_in_order():
    frame = panel(3, 50, 2)

    assert list(frame.columns) == ["series", "time", "c0", "c1"]
    assert frame[["series", "time"]].apply(tuple, axis=1).is_monotonic_increasing
    assert not frame.duplicated(["series", "time"]).any()


def test_a_panel_and_a_long_series_are_timed(suite):
    sizes = ["--n-series", 3, "--n-steps", 50, "--n-channels", 2, "--n-long", 200]

    line, results = suite("panel", *sizes)

    assert results["rows"].tolist() == [150, 200]
    assert line.startswith("panel 3 x 50 x 2: rows 150 fit s 0.0 ")
    assert " | long: rows 200 " in line


def test_a_stream_is_compared_with_the_batch(suite):
    line, results = suite("stream", "--n-steps", 20)

    assert results["step"].tolist() == list(range(20))
    assert (results["ms"] > 0).all()
    assert line.startswith("stream: steps 20, scored 20 | largest difference to batch 0.00e+00 |")


def test_alarms_are_counted_by_the_length_of_training():
    params = {"max_iter": 20, "width": 16, "n_blocks": 1, "window_lengths": (8, 16)}

    rates = series_alarms.measure_alarms(1, 1, params, lengths=(300, 600), n_new=300)

    assert len(rates) == 3 * 2 * 2
    assert rates["rate"].between(0, 0.5).all()
    wide = rates.pivot_table("rate", ["shape", "n_train"], "alpha")
    assert (wide[0.05] >= wide[0.01]).all()
    assert series_alarms.alarms_line(rates).endswith("series 6")
