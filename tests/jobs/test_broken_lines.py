"""Laws of lines that are no rows, in scoring and training: they cost themselves alone."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.jobs import score as score_job
from anomdiff.jobs.dry_run import dry_run
from anomdiff.jobs.exit_codes import ExitCode
from anomdiff.jobs.row_files import read_text_rows
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings, TrainSettings
from anomdiff.jobs.train import training_rows
from tests.series import panel
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table

HOSTS = ("a", "b", "c")

pytestmark = pytest.mark.filterwarnings("ignore:need (an alarm rate|at least)", "ignore:columns")


@pytest.fixture(scope="module")
def detector():
    """A detector of a table; do not change it."""
    return TabularDetector(**TINY).fit(mixed_table(400, seed=0))


@pytest.fixture(scope="module")
def series_detector():
    """A detector of a panel; do not change it."""
    detector = TimeSeriesDetector(**TINY_SERIES, series="host", time="time")
    return detector.fit(panel(200, seed=0, labels=HOSTS))


@pytest.fixture
def as_champion(monkeypatch, detector):
    """Let the command find the detector of a table."""
    monkeypatch.setattr(score_job, "resolve_model", lambda uri: {"uri": uri})
    monkeypatch.setattr(score_job, "load_registered", lambda uri: detector)


def _table(n_rows=200):
    return mixed_table(n_rows, seed=1).reset_index(names="sale")


def _broken(frame, rng, n_broken, path):
    """Write a table with broken lines; these, by the numbers of their rows."""
    header, *lines = frame.to_csv(index=False).splitlines()
    rows = np.sort(rng.choice(np.arange(20, len(lines)), n_broken, replace=False)).tolist()
    for row in rows:
        fields = lines[row].split(",")
        cut = ",".join(fields[: rng.integers(1, len(fields))])
        lines[row] = [f"{lines[row]},more", cut, f'"{lines[row]}'][rng.integers(3)]
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return {row: lines[row] for row in rows}


def _settings(folder, **more):
    return ScoreSettings(data=folder / "in.csv", output=folder / "out" / "scored.parquet", **more)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("batch_size", [33, 1000])
@pytest.mark.parametrize("seed", [0, 1])
def test_good_rows_are_scored_as_in_a_whole_file_and_the_counts_add_up(
    tmp_path, detector, suffix, batch_size, seed
):
    frame = _table().astype({"price": object})
    frame.loc[[5, 19], "price"] = "much"
    broken = _broken(frame, np.random.default_rng(seed), 12, tmp_path / "in.csv")
    path = tmp_path / f"bad{suffix}"
    settings = _settings(tmp_path, quarantine=path, batch_size=batch_size, key="sale")

    summary = score(settings, detector)

    scored = pd.read_parquet(settings.output)
    rows = sorted([5, 19, *broken])
    good = _table().drop(index=rows)
    wanted = detector.score_frame(good.drop(columns="sale"))
    assert scored["row"].tolist() == good.index.tolist()
    np.testing.assert_allclose(scored["anomaly_score"], wanted["anomaly_score"], rtol=1e-6)
    found = read_text_rows(path).set_index("row")
    assert found.index.astype(int).tolist() == rows
    assert found["raw_line"].dropna().tolist() == list(broken.values())
    assert found["reason"].str.startswith("need ").sum() == len(broken)
    assert found["price"].dropna().tolist() == ["much", "much"]
    assert summary["rows_quarantined"] == len(rows)
    assert summary["rows"] + summary["rows_quarantined"] == 200


@pytest.mark.parametrize("order", ["by series", "by time"])
@pytest.mark.parametrize("batch_size", [50, 1000])
def test_broken_lines_of_series_are_missing_steps_and_the_others_keep_their_numbers(
    tmp_path, series_detector, order, batch_size
):
    frame = panel(60, seed=5, labels=HOSTS)
    if order == "by time":
        frame = frame.iloc[np.argsort(np.arange(180) % 60, kind="stable")].reset_index(drop=True)
    broken = _broken(frame, np.random.default_rng(0), 9, tmp_path / "in.csv")
    settings = _settings(tmp_path, quarantine=tmp_path / "bad.csv", batch_size=batch_size)

    summary = score(settings, series_detector)

    good = frame.drop(index=list(broken))
    scored = pd.read_parquet(settings.output).set_index("row").sort_index()
    wanted = series_detector.score_frame(good)["anomaly_score"]
    assert scored.index.tolist() == good.index.tolist()
    assert scored["host"].tolist() == good["host"].tolist()
    np.testing.assert_allclose(scored["anomaly_score"], wanted, rtol=1e-6)
    assert pd.read_csv(settings.quarantine)["row"].tolist() == list(broken)
    assert summary["rows"] + summary["rows_quarantined"] == 180


def test_the_command_says_how_many_rows_were_not_scored_and_where_they_are(tmp_path, as_champion):
    _broken(_table(), np.random.default_rng(0), 7, tmp_path / "in.csv")
    options = ["--data", tmp_path / "in.csv", "--output", tmp_path / "out.parquet"]
    options += ["--max-alarm-rate", "1", "--quarantine", tmp_path / "bad.csv"]

    result = CliRunner().invoke(score_job.main, list(map(str, options)))

    assert result.exit_code == ExitCode.DONE, result.output
    assert result.stdout.startswith("193 rows, ")
    assert f"; 7 rows that cannot be read: {tmp_path / 'bad.csv'}" in result.stdout


def test_without_a_quarantine_a_line_with_too_many_fields_fails_and_names_it(tmp_path, as_champion):
    text = _table().to_csv(index=False)
    (tmp_path / "in.csv").write_text(text + text.splitlines()[-1] + ",more\n", encoding="utf-8")
    options = ["--data", tmp_path / "in.csv", "--output", tmp_path / "out.parquet"]

    result = CliRunner().invoke(score_job.main, list(map(str, options)))

    assert result.exit_code == ExitCode.DATA, result.output
    assert "in line 202 of in.csv; got" in result.stderr
    assert "`quarantine` of `anomdiff score` to score the other lines" in result.stderr


def test_without_a_quarantine_lines_cut_short_are_told(tmp_path, detector):
    header, *lines = _table().to_csv(index=False).splitlines()
    lines[50:60] = [",".join(line.split(",")[:4]) for line in lines[50:60]]
    (tmp_path / "in.csv").write_text("\n".join([header, *lines]), encoding="utf-8")

    with pytest.warns(UserWarning, match="10 lines are no whole rows.*line 52 of in.csv; got 4"):
        score(_settings(tmp_path), detector)
    with pytest.warns(UserWarning, match="10 lines are no whole rows.*line 52 of in.csv; got 4"):
        training_rows(TrainSettings(data=tmp_path / "in.csv"))


def test_a_dry_run_with_a_quarantine_passes_over_broken_lines(tmp_path, detector):
    _broken(_table(), np.random.default_rng(0), 9, tmp_path / "in.csv")

    told = dry_run(_settings(tmp_path, quarantine=tmp_path / "bad.csv"), detector)

    assert "would write  quarantine" in told
    assert not (tmp_path / "bad.csv").exists()


@pytest.mark.parametrize("unit", ["row", "step"])
def test_a_file_whose_only_line_is_broken_fails_the_job(tmp_path, detector, series_detector, unit):
    model = detector if unit == "row" else series_detector
    frame = _table(1) if unit == "row" else panel(1, seed=0, labels=["a"])
    header, line = frame.to_csv(index=False).splitlines()
    (tmp_path / "in.csv").write_text(f'{header}\n{line},"\n', encoding="utf-8")
    given = {"quarantine": tmp_path / "bad.csv", "separator": ",", "header": True}

    with pytest.raises(ValueError, match="need at least one row that can be read; none "):
        score(_settings(tmp_path, **given), model)
