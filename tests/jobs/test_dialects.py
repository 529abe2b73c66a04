"""The jobs on files that are written in several ways."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from anomdiff import TabularDetector, cli
from anomdiff.jobs import demo
from anomdiff.jobs.exit_codes import ExitCode
from anomdiff.jobs.model_columns import read_model_rows
from anomdiff.jobs.readers import FileOptions
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import MonitorSettings, ScoreSettings, TrainSettings
from anomdiff.jobs.train import make_detector, training_rows
from tests.settings import TINY

QUICK = {**TINY, "n_levels": 3, "alpha": 0.05}


def _rows(n, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "at": pd.date_range("2025-01-01", periods=n, freq="h").astype(str),
            "Höhe": rng.gamma(2, 10, n).round(2),
            "code": rng.choice(["0042", "0107", "1200", "0931"], n),
            "flag": rng.random(n) < 0.3,
            "Ort": rng.choice(["Köln", "Ulm", "Aix, FR"], n),
        }
    )


def _fitted(path, **said):
    settings = TrainSettings(data=path, detector=QUICK, kinds={"code": "category"}, **said)
    frame = training_rows(settings)
    return make_detector(settings, frame).fit(frame)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    path = tmp_path_factory.mktemp("training") / "t.csv"
    _rows(150, 0).to_csv(path, index=False)
    return _fitted(path)


def _scores(detector, path, **said):
    output = path.with_name("scored.parquet")
    score(ScoreSettings(data=path, output=output, **said), detector)
    return pd.read_parquet(output)["anomaly_score"].to_numpy()


def _comma(frame):
    return frame.to_csv(index=False).encode()


def _continental(frame):
    return ("Bericht\n\n" + frame.to_csv(index=False, sep=";", decimal=",")).encode("cp1252")


def _excel_text(frame):
    return frame.to_csv(index=False, sep="\t").encode("utf-16")


def _excel_list(frame):
    lines = frame.to_csv(index=False, sep=";", decimal=",").splitlines()
    return "\n".join(["sep=;", *(f"{line};;" for line in lines)]).encode("utf-8-sig")


def _commented(frame):
    return ("# exported\n" + frame.to_csv(index=False, sep="|")).encode()


def _json(frame):
    return frame.to_json(orient="records", lines=True).encode()


WAYS = {
    "a.csv": _comma,
    "b.csv": _continental,
    "c.txt": _excel_text,
    "d.csv": _excel_list,
    "e.data": _commented,
    "f.jsonl": _json,
}


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("batch_size", [7, 1000])
def test_rows_score_the_same_however_their_file_is_written(detector, tmp_path, name, batch_size):
    rows = _rows(40, 1)
    rows.to_parquet(tmp_path / "plain.parquet")
    (tmp_path / name).write_bytes(WAYS[name](rows))

    expected = detector.score_frame(rows)["anomaly_score"]

    found = _scores(detector, tmp_path / name, batch_size=batch_size)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(_scores(detector, tmp_path / "plain.parquet"), expected, rtol=1e-9)


@pytest.mark.parametrize("name", WAYS)
def test_a_model_is_the_same_however_its_training_file_is_written(detector, tmp_path, name):
    (tmp_path / name).write_bytes(WAYS[name](_rows(150, 0)))

    other = _fitted(tmp_path / name)

    rows = _rows(20, 1)
    expected = detector.score_frame(rows)["anomaly_score"]
    np.testing.assert_allclose(other.score_frame(rows)["anomaly_score"], expected, rtol=1e-9)


@pytest.mark.parametrize("odd", ["X777", "", "1e3", "07"])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_codes_score_the_same_beside_any_other(detector, tmp_path, odd, batch_size):
    rows = _rows(30, 1)
    rows.to_csv(tmp_path / "plain.csv", index=False)
    rows.assign(code=[*rows["code"][:-1], odd]).to_csv(tmp_path / "odd.csv", index=False)

    plain = _scores(detector, tmp_path / "plain.csv", batch_size=batch_size)
    beside = _scores(detector, tmp_path / "odd.csv", batch_size=batch_size)

    np.testing.assert_allclose(beside[:-1], plain[:-1], rtol=1e-9)


@pytest.mark.parametrize("dtype", ["int64", "float64", "Int64", "int16"])
@pytest.mark.parametrize("odd", ["X777", "1200"])
def test_codes_that_were_numbers_in_training_are_found_in_text(tmp_path, dtype, odd):
    rows = _rows(150, 0)[["Höhe", "code"]]
    typed = rows.astype({"code": "int64"}).astype({"code": dtype})
    detector = TabularDetector(**QUICK, kinds={"code": "category"}).fit(typed)
    rows.assign(code=[*rows["code"][:-1], odd]).to_csv(tmp_path / "t.csv", index=False)

    found = _scores(detector, tmp_path / "t.csv")

    expected = detector.score_frame(typed)["anomaly_score"]
    np.testing.assert_allclose(found[:-1], expected[:-1], rtol=1e-9)


def test_what_is_set_reaches_every_job(detector, tmp_path):
    rows = _rows(30, 1)
    text = rows.to_csv(index=False, sep=":", decimal=",", quoting=1)
    (tmp_path / "t.csv").write_text("first\nsecond\n" + text, encoding="utf-16-be")
    said = {"separator": ":", "decimal": ",", "encoding": "utf-16-be", "skip_lines": 2}

    settings = MonitorSettings(data=tmp_path / "t.csv", output=tmp_path / "o.json", **said)
    read, _ = read_model_rows(settings.data, settings, detector)

    expected = detector.score_frame(rows)["anomaly_score"]
    np.testing.assert_allclose(detector.score_frame(read)["anomaly_score"], expected, rtol=1e-9)
    np.testing.assert_allclose(_scores(detector, tmp_path / "t.csv", **said), expected, rtol=1e-9)


def test_a_separator_of_two_characters_can_be_set(detector, tmp_path):
    rows = _rows(30, 1)
    text = rows.to_csv(index=False, sep="\a").replace("\a", "~~")
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    found = _scores(detector, tmp_path / "t.csv", separator="~~")

    expected = detector.score_frame(rows)["anomaly_score"]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_infinite_cells_are_scored_as_missing_and_told(detector, tmp_path):
    rows = _rows(30, 1)
    rows.loc[3, "Höhe"] = np.inf
    rows.to_csv(tmp_path / "t.csv", index=False)

    with pytest.warns(UserWarning, match="infinite numbers count as missing: 1 in column 'Höhe'"):
        found = _scores(detector, tmp_path / "t.csv", batch_size=10)

    rows.loc[3, "Höhe"] = np.nan
    np.testing.assert_allclose(found, detector.score_frame(rows)["anomaly_score"], rtol=1e-9)


def test_a_header_that_was_judged_wrongly_is_reported_with_what_to_set(detector, tmp_path):
    text = _rows(30, 1).to_csv(index=False)
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match=r"need columns .*; set `header = true` \(--header\)"):
        _scores(detector, tmp_path / "t.csv", header=False)


def test_the_command_tells_how_a_file_is_written(mlflow_store, tmp_path):
    (tmp_path / "t.csv").write_bytes(_continental(_rows(120, 0)))
    (tmp_path / "t.toml").write_text("[detector]\nmax_iter = 2\nalpha = 0.05\nn_levels = 3\n")

    done = CliRunner().invoke(
        cli.job("train"), [str(tmp_path / "t.toml"), "--data", str(tmp_path / "t.csv")]
    )

    assert done.exit_code == 0
    said = "read t.csv: separator ';', decimal ',', encoding cp1252, 2 lines above the header"
    assert done.output.count(said) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--separator", ":::"], "need one character or two, 'tab' or a blank"),
        (["--decimal", "x"], "'decimal': Input should be '.' or ','"),
        (["--skip-lines", "-1"], "'skip_lines': Input should be greater than or equal to 0"),
        (["--encoding", "klingon"], "need a known `encoding`, such as cp1252; got 'klingon'"),
    ],
)
def test_an_option_that_cannot_be_is_reported(mlflow_store, tmp_path, words, sentence):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n", encoding="utf-8")

    done = CliRunner().invoke(demo.main, ["--data", str(tmp_path / "t.csv"), *words])

    assert done.exit_code in (ExitCode.SETTINGS, ExitCode.DATA)
    assert sentence in done.output


@pytest.mark.parametrize(
    ("text", "options", "n_rows"),
    [
        ("\n".join(f"{i % 7};{i % 10},5" for i in range(100)), None, 100),
        ("1,2\n" + "\n".join(f"{i % 7},{i % 10}.5" for i in range(99)), {"header": False}, 100),
        ("a:b\n" + "\n".join(f"{i % 7}:{i % 10}" for i in range(99)), {"separator": ":"}, 99),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_the_demo_reads_any_way_of_writing(mlflow_store, tmp_path, text, options, n_rows):
    (tmp_path / "t.data").write_text(text, encoding="utf-8")
    asked = FileOptions(**options) if options else None

    done = demo.file_demo(tmp_path / "t.data", tmp_path / "out", detector=QUICK, options=asked)

    assert done.report.n_rows + len(done.scores) == n_rows
