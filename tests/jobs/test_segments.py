import json

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from anomdiff import SegmentedDetector, cli
from anomdiff.integrations.mlflow import flavor
from anomdiff.jobs.exit_codes import ExitCode, SettingsError
from anomdiff.jobs.runs.batch_cache import BatchCache
from anomdiff.jobs.settings import TrainSettings
from anomdiff.jobs.verdict_store import require_rows
from tests.settings import TINY
from tests.tables import mixed_table


def shops(n, seed, towns=("0042", "0007", "0001"), shares=(0.5, 0.4, 0.1)):
    """Sales of shops whose names are digits."""
    rng = np.random.default_rng(seed)
    return mixed_table(n, seed).assign(shop=rng.choice(towns, n, p=shares)).drop(columns="sold")


@pytest.fixture
def trained(mlflow_store, tmp_path):
    """Folder with the settings of a registered model by segments."""
    shops(600, seed=0).to_csv(tmp_path / "history.csv", index=False)
    rows = shops(200, seed=1)
    rows.loc[rows.index[:3], "shop"] = "0099"
    rows.loc[rows.index[3:5], "shop"] = None
    rows.loc[rows.index[5:9], "size"] = 5000.0
    rows.to_csv(tmp_path / "tonight.csv", index=False)
    parameters = "\n".join(f"{k} = {json.dumps(v)}" for k, v in {**TINY, "alpha": 0.05}.items())
    config = 'data = "history.csv"\nregistered_name = "sales"\nby = "shop"\nmin_rows = 150\n'
    (tmp_path / "train.toml").write_text(f"{config}[detector]\n{parameters}\n")
    result = CliRunner().invoke(cli.main, ["train", "train.toml"])
    assert result.exit_code == 0, result.output
    return tmp_path


def run(*options):
    return CliRunner().invoke(cli.main, list(options))


def test_a_night_by_segments(trained):
    model = "models:/sales@champion"
    named = ["--model", model, "--output", "out.parquet", "--alarms", "alarms.csv"]

    result = run("score", "--data", "tonight.csv", *named, "--keep", "shop")

    assert result.exit_code == 0, result.output
    detector = flavor.load_model(model)
    rows = pd.read_csv("tonight.csv", dtype={"shop": str})
    expected = detector.score_frame(rows)
    scored = pd.read_parquet("out.parquet")
    np.testing.assert_allclose(scored["anomaly_score"], expected["anomaly_score"], rtol=1e-4)
    assert scored["is_anomaly"].equals(expected["is_anomaly"])
    summary = json.loads((trained / "out.summary.json").read_text())
    assert summary["segments"] == {"scored": 2, "shared": 1, "unknown": 1}
    assert summary["segment_status"] == {"0001": "shared", "0099": "unknown"}
    alarms = pd.read_csv("alarms.csv")
    assert len(alarms) == scored["is_anomaly"].sum()
    assert {5, 6, 7, 8} <= set(alarms["row"])
    assert (alarms["severity"] > 50).all()
    assert alarms.loc[alarms["row"].isin([5, 6, 7, 8]), "reason_1_column"].eq("size").all()


@pytest.mark.slow
def test_monitor_and_promote_take_segments(trained):
    shops(600, seed=2).to_csv("later.csv", index=False)

    name = "models:/sales@champion"
    watched = run("monitor", "--data", "later.csv", "--model", name, "--output", "drift.json")
    second = run("train", "train.toml", "--set", "detector.random_state=1")
    promoted = run("promote", "--data", "later.csv", "--name", "sales")

    assert watched.exit_code in (ExitCode.DONE, ExitCode.DRIFT), watched.output
    assert json.loads((trained / "drift.json").read_text())["rows"] == 600
    assert second.exit_code == 0, second.output
    assert promoted.exit_code in (ExitCode.DONE, ExitCode.NOT_PROMOTED), promoted.output


@pytest.fixture(scope="module")
def fitted():
    """A detector by segments; do not change it."""
    return SegmentedDetector(by="shop", min_rows=150, alpha=0.05, **TINY).fit(shops(600, seed=0))


def test_a_served_model_names_the_segment_of_each_row(fitted, tmp_path):
    flavor.save_model(fitted, tmp_path / "model")
    served = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    rows = shops(50, seed=1)
    rows.loc[rows.index[0], "shop"] = None
    rows.loc[rows.index[1], "size"] = 5000.0

    answered = served.predict(flavor.as_input(fitted, rows), params={"explain": True})

    expected = fitted.score_frame(rows)
    assert answered["segment"].iloc[0] is None
    assert answered["segment"].fillna("").tolist() == expected["segment"].fillna("").tolist()
    assert answered["is_anomaly"].tolist() == expected["is_anomaly"].tolist()
    assert answered["reasons"].map(bool).tolist() == answered["is_anomaly"].tolist()
    assert answered["reasons"].iloc[1][0]["column"] == "size"
    assert "segment" in served.metadata.signature.outputs.input_names()


def test_feedback_on_segments_is_refused_in_one_sentence(fitted):
    with pytest.raises(SettingsError, match="need a model of one table .* by segments of 'shop'"):
        require_rows(fitted)


def test_scores_that_are_kept_are_those_of_one_model(fitted, tmp_path):
    rows, others = shops(100, seed=1), shops(600, seed=3)
    another = SegmentedDetector(by="shop", min_rows=150, alpha=0.05, **TINY).fit(others)
    first, second, third = (BatchCache(model, tmp_path) for model in (fitted, another, fitted))
    first.score(rows)
    first.score(others)  # writes what is kept of the first batch

    second.score(rows)
    third.score(rows)

    assert (second.n_restored, third.n_restored) == (0, 1)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"by": "a", "estimator": "timeseries"}, r"need `estimator = 'tabular'` for \['by'\]"),
        ({"min_rows": 100}, "need `by`, the column whose values `min_rows` is about"),
        ({"detector": {"by": "a"}}, r"need \['by'\] beside `estimator`"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(tmp_path, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        TrainSettings.load(None, {"data": tmp_path / "a.csv", **given})
