import json
import re

import numpy as np
import pandas as pd
import pytest

from benchmarks.series import events
from benchmarks.series.events import flag_as_many, judge, main, summary
from benchmarks.series.reading import spread
from tests.benchmarks.labelled import labelled_series
from tests.settings import TINY_SERIES


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "RIVALS", ("iforest", "knn"))  # the matrix profile is compiled
    (tmp_path / "TSB-AD-U").mkdir()
    for seed, family in enumerate(("NAB", "UCR")):
        values, anomalous = labelled_series(400, seed=seed)
        values[150:160], anomalous[150:160] = values[30:40], False
        values[350:360] += 4
        anomalous[350:360] = True
        frame = pd.DataFrame({"Data": values[:, 0], "Label": anomalous.astype(int)})
        name = f"00{seed}_{family}_id_1_Facility_tr_200_1st_351.csv"
        frame.to_csv(tmp_path / "TSB-AD-U" / name, index=False)
    return tmp_path


def call(folder, *more):
    options = ["--suite", "tsb-u", "--processes", "1", "--params", json.dumps(TINY_SERIES)]
    return main(["--data", str(folder), *options, *map(str, more)])


def test_the_last_line_has_the_means_over_the_files(folder, capsys):
    code = call(folder, "--out", folder / "out.csv")

    last = capsys.readouterr().out.splitlines()[-1]
    figures = pd.read_csv(folder / "out.csv")
    assert code == 0
    assert [*figures["method"]] == ["anomdiff", "iforest", "knn"] * 2
    assert re.fullmatch(r"events tsb-u( \| [^|]+){3} \| nothing flagged in \d \| files 2", last)
    means = figures[figures["method"] == "iforest"].mean(numeric_only=True)
    said = f"iforest affiliation F1 {means.affiliation_f1:.3f} range F1 {means.range_f1:.3f}"
    assert said in last


def test_files_in_which_we_flag_nothing_are_counted():
    figures = pd.DataFrame(
        {"file": [*"aabbcc"], "method": ["anomdiff", "knn"] * 3, "n_runs": [0, 0, 3, 3, 0, 0]}
    )

    line = summary("asd", figures.assign(affiliation_f1=0.5, range_f1=0.25, normal_flagged=0.0))

    assert line.startswith("events asd | anomdiff affiliation F1 0.500 range F1 0.250 ")
    assert line.endswith(" | nothing flagged in 2 | files 3")


def test_the_steps_after_training_are_judged_at_one_share_of_false_alarms(folder):
    call(folder, "--out", folder / "out.csv", "--max-files", 1)

    figures = pd.read_csv(folder / "out.csv")
    assert [*figures["n"]] == [200] * 3
    assert [*figures["n_events"]] == [1] * 3
    assert figures["normal_flagged"].nunique() == 1


def test_a_file_that_cannot_be_fitted_is_told_and_the_others_count(folder, capsys):
    (folder / "TSB-AD-U" / "003_NAB_id_9_Web_tr_2_1st_3.csv").write_text("Data,Label\n1,0\n2,0\n")

    code = call(folder)

    captured = capsys.readouterr()
    assert code == 1
    assert "failed: 003_NAB_id_9_Web_tr_2_1st_3.csv, anomdiff: " in captured.err
    assert captured.out.splitlines()[-1].endswith("files 2")


def test_a_folder_without_files_is_an_error(tmp_path, capsys):
    with pytest.raises(SystemExit):
        call(tmp_path)

    assert "need files NNN_FAMILY" in capsys.readouterr().err


@pytest.mark.parametrize("n_false", [0, 1, 7, 90])
def test_a_rival_raises_as_many_false_alarms(n_false):
    rng = np.random.default_rng(n_false)
    scores, anomalous = rng.normal(size=100), np.arange(100) >= 90
    ours = anomalous | (np.arange(100) < n_false)

    flags = flag_as_many(scores, anomalous, ours)

    assert (flags & ~anomalous).sum() == n_false
    assert scores[flags].min(initial=np.inf) > scores[~flags].max(initial=-np.inf)


def test_without_false_alarms_all_that_lies_above_the_normal_steps_is_flagged():
    scores, anomalous = np.array([1.0, 2, 2, 3, 2]), np.array([0, 0, 1, 1, 0], dtype=bool)

    flags = flag_as_many(scores, anomalous, ours=np.array([0, 0, 1, 0, 0], dtype=bool))

    np.testing.assert_array_equal(flags, scores > 2)


@pytest.mark.parametrize(("n_false", "n_flagged"), [(1, 0), (2, 3), (3, 3), (4, 3), (9, 10)])
def test_tied_scores_give_the_nearest_number_of_false_alarms(n_false, n_flagged):
    scores, anomalous = np.repeat([1.0, 0.0], [3, 7]), np.zeros(10, dtype=bool)

    flags = flag_as_many(scores, anomalous, ours=np.arange(10) < n_false)

    assert flags.sum() == n_flagged


def test_where_we_flag_nothing_nobody_does():
    scores, anomalous = np.arange(10.0), np.arange(10) == 9

    assert not flag_as_many(scores, anomalous, np.zeros(10, dtype=bool)).any()


def test_the_figures_of_flags_by_hand():
    anomalous = np.isin(np.arange(20), [5, 6, 15, 16])
    flagged = np.isin(np.arange(20), [5, 6, 10, 11])

    figures = judge(anomalous, flagged)

    assert figures["range_precision"] == figures["range_recall"] == figures["range_f1"] == 0.5
    assert figures["normal_flagged"] == 2 / 16
    assert figures["events_found"] == 0.5
    assert figures["n_runs"] == 2
    assert 0.5 < figures["affiliation_recall"] < 1


@pytest.mark.parametrize(("most", "kept"), [(None, [0, 1, 2, 3]), (9, [0, 1, 2, 3]), (2, [0, 2])])
def test_few_are_spread_over_all(most, kept):
    assert spread([0, 1, 2, 3], most) == kept
