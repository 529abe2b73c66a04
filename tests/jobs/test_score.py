import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from anomdiff.datasets import payments
from anomdiff.encoding.schema import Schema
from anomdiff.jobs.batch.places import summary_path
from anomdiff.jobs.exit_codes import ExitCode
from anomdiff.jobs.score import main, score
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.metrics.detection import auroc, average_precision


class FakeDetector:
    """Scores a row by its amount, and counts merchants it has not seen."""

    unit = "row"
    alpha = 0.1
    threshold_ = 4.0

    def __init__(self, frame, fail_at=None):
        self.schema_ = Schema.infer(frame)
        self.merchants = set(frame["merchant_category"])
        self.fail_at = fail_at

    def score_frame(self, frame):
        if self.fail_at in frame.index:
            raise ValueError(f"row {self.fail_at} cannot be scored.")
        checked = self.schema_.check(frame)
        unseen = ~checked["merchant_category"].isin(self.merchants)
        scores = np.log1p(checked["amount"]) + 10 * unseen
        return pd.DataFrame(
            {
                "anomaly_score": scores,
                "p_value": np.exp(-scores),
                "is_anomaly": scores > self.threshold_,
            },
            index=frame.index,
        )


@pytest.fixture(scope="module")
def table():
    frame, truth = payments(200, fraud_rate=0.1, seed=1)
    return frame.assign(code=[f"{i % 7:03d}" for i in range(200)], fraud=truth["is_fraud"] * 1)


@pytest.fixture(scope="module")
def detector():
    return FakeDetector(payments(300, seed=0)[0])


@pytest.fixture(params=["parquet", "csv"])
def data(request, tmp_path, table):
    path = tmp_path / f"in.{request.param}"
    if request.param == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, row_group_size=60)
    return path


def _settings(data, **given):
    return ScoreSettings(
        **{"data": data, "output": data.parent / "out" / "scored.parquet", **given}
    )


@pytest.mark.filterwarnings("ignore:columns")
@pytest.mark.parametrize("batch_size", [7, 50, 10_000])
def test_the_batch_size_does_not_change_the_output(data, table, detector, batch_size):
    settings = _settings(data, batch_size=batch_size, keep=["code", "amount", "device"])

    score(settings, detector)

    scored = pd.read_parquet(settings.output)
    expected = detector.score_frame(table[[column.name for column in detector.schema_.used]])
    assert list(scored) == ["row", "code", "amount", "device", *expected]
    assert scored["row"].tolist() == list(range(200))
    assert scored["code"].tolist() == table["code"].tolist()
    assert scored["amount"].tolist() == table["amount"].tolist()
    pd.testing.assert_frame_equal(scored[list(expected)], expected, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:columns")
def test_the_summary_is_that_of_the_whole_table_at_once(data, table, detector):
    settings = _settings(data, batch_size=30, label="fraud", normal=[0])
    expected = detector.score_frame(table.drop(columns=["code", "fraud"]))

    summary = score(settings, detector)

    scores = expected["anomaly_score"].astype(np.float32)
    assert summary["rows"] == 200
    assert summary["alarms"] == expected["is_anomaly"].sum()
    assert summary["alarm_rate"] == expected["is_anomaly"].mean()
    assert (summary["alpha"], summary["threshold"]) == (0.1, 4.0)
    assert summary["missing_rates"]["device"] == table["device"].isna().mean()
    for level, value in summary["score_quantiles"].items():
        assert value == pytest.approx(np.quantile(scores, float(level)), rel=1e-6)
    assert summary["quality"] == {
        "labelled_rows": 200,
        "anomalies": 20,
        "auroc": pytest.approx(auroc(table["fraud"], scores)),
        "average_precision": pytest.approx(average_precision(table["fraud"], scores)),
    }
    assert json.loads(summary_path(settings.output).read_text(encoding="utf-8")) == summary


@pytest.mark.filterwarnings("ignore:columns")
def test_all_columns_can_be_kept(data, table, detector):
    settings = _settings(data, keep="all")

    score(settings, detector)

    scored = pd.read_parquet(settings.output)
    assert list(scored)[1:-3] == list(table)
    assert scored["card_present"].astype(str).tolist() == table["card_present"].astype(str).tolist()


@pytest.mark.filterwarnings("ignore:columns")
def test_nothing_is_left_behind_by_a_failure(data, table):
    detector = FakeDetector(table.drop(columns=["code", "fraud"]), fail_at=150)
    settings = _settings(data, batch_size=40)
    settings.output.parent.mkdir()
    settings.output.write_text("yesterday's", encoding="utf-8")

    with pytest.raises(ValueError, match="row 150 cannot be scored"):
        score(settings, detector)

    assert list(settings.output.parent.iterdir()) == [settings.output]
    assert settings.output.read_text(encoding="utf-8") == "yesterday's"


@pytest.mark.filterwarnings("ignore:columns")
@pytest.mark.parametrize("label", ["not there", "code"])
def test_quality_needs_labels_of_both_classes(data, detector, label):
    normal = [f"{i:03d}" for i in range(7)]

    summary = score(_settings(data, label=label, normal=normal), detector)

    assert summary["quality"] is None


def test_columns_that_are_not_used_are_reported(data, detector):
    settings = _settings(data, label="fraud", normal=[0])

    with pytest.warns(UserWarning, match=r"columns \['code'\] are not used by the model"):
        summary = score(settings, detector)

    assert summary["columns_not_used"] == ["code"]


@pytest.mark.filterwarnings("ignore:columns")
def test_an_infinite_threshold_is_null_in_json(data, table):
    detector = FakeDetector(table.drop(columns=["code", "fraud"]))
    detector.threshold_ = np.inf

    summary = score(_settings(data), detector)

    assert summary["threshold"] is None


def test_numbered_columns_are_found_in_a_file_without_header(tmp_path):
    rows = pd.DataFrame({0: ["007", "008", "x"], 1: [1.0, 2.0, 3.0]})
    rows.to_csv(tmp_path / "in.data", index=False, header=False)
    detector = FakeDetector(pd.DataFrame({"amount": [1.0], "merchant_category": ["a"]}))
    detector.schema_ = Schema.infer(rows)
    detector.score_frame = lambda frame: pd.DataFrame(
        {"anomaly_score": frame[1], "p_value": 1.0, "is_anomaly": frame[0] == "007"}
    )
    settings = _settings(tmp_path / "in.data", header=False, batch_size=2, keep=["0"])

    score(settings, detector)

    scored = pd.read_parquet(settings.output)
    assert scored["0"].tolist() == ["007", "008", "x"]
    assert scored["is_anomaly"].tolist() == [True, False, False]


@pytest.mark.filterwarnings("ignore:columns")
@pytest.mark.parametrize(
    ("change", "given", "sentence"),
    [
        (lambda t: t.drop(columns="amount"), {}, r"need columns \['amount'\]; the table has"),
        (lambda t: t.assign(amount="much"), {}, "need numbers in column 'amount'; got 'much'"),
        (lambda t: t[:0], {}, "need at least one row"),
        (lambda t: t, {"keep": ["x"]}, r"need columns \['x'\]; the table has"),
        (
            lambda t: t.rename(columns={"code": "row"}),
            {"keep": "all"},
            r"need other names for the kept columns \['row'\]",
        ),
        (lambda t: t, {"output": "scored.csv"}, "need an output named .parquet; got scored.csv"),
    ],
)
def test_bad_input_is_reported_in_one_sentence(tmp_path, table, detector, change, given, sentence):
    change(table).to_csv(tmp_path / "in.csv", index=False)

    with pytest.raises(ValueError, match=sentence) as caught:
        score(_settings(tmp_path / "in.csv", **given), detector)

    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.parquet")) + list(tmp_path.rglob("*.part"))


def test_the_output_must_not_lie_in_the_data(tmp_path, table, detector):
    table.to_parquet(tmp_path / "in.parquet")

    for data in (tmp_path, tmp_path / "in.parquet"):
        with pytest.raises(ValueError, match="need an output outside the data"):
            score(ScoreSettings(data=data, output=tmp_path / "in.parquet"), detector)


def test_the_command_reports_a_mistake_without_a_stack_trace(tmp_path):
    options = ["--data", str(tmp_path / "x.csv"), "--output", str(tmp_path / "y.parquet")]

    result = CliRunner().invoke(main, options)

    assert result.exit_code == ExitCode.DATA
    assert result.stderr.strip().endswith(
        f"Error: need a table at {tmp_path / 'x.csv'}; there is no such file."
    )


@pytest.mark.filterwarnings("ignore:columns")
def test_a_terminated_command_leaves_nothing_behind(data, table, detector, monkeypatch):
    settings = _settings(data, batch_size=50)
    stopping = FakeDetector(table.drop(columns=["code", "fraud"]))
    stopping.score_frame = lambda frame: os.kill(os.getpid(), signal.SIGTERM)
    monkeypatch.setattr("anomdiff.jobs.score.resolve_model", lambda uri: {"uri": uri})
    monkeypatch.setattr("anomdiff.jobs.score.load_registered", lambda uri: stopping)

    result = CliRunner().invoke(main, ["--data", str(data), "--output", str(settings.output)])

    assert result.exit_code == 143
    assert not list(settings.output.parent.iterdir())
