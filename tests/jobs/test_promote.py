import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.integrations.mlflow import flavor, registry
from anomdiff.jobs.exit_codes import ExitCode
from anomdiff.jobs.promote import main, promote
from anomdiff.jobs.settings import PromoteSettings
from tests.series import waves
from tests.settings import TINY_NETWORK, TINY_SERIES
from tests.tables import mixed_table

# Few rows calibrate the detectors: a rarer alarm than one in twenty would be chance, and how many
# alarms there are is chance with fewer than these.
QUICK = {**TINY_NETWORK, "alpha": 0.05, "validation_fraction": 0.4}
LENIENT = {"latency": 100.0}  # a busy machine must not decide


@pytest.fixture(scope="module")
def poor():
    return TabularDetector(max_iter=1, max_reference=10, **QUICK).fit(mixed_table(300, seed=0))


@pytest.fixture(scope="module")
def good():
    return TabularDetector(max_iter=200, **QUICK).fit(mixed_table(300, seed=0))


@pytest.fixture
def recent(tmp_path):
    """Recent rows, every fiftieth of them with a price that does not fit."""
    table = mixed_table(600, seed=1).assign(fault=np.arange(600) % 50 == 0)
    table["price"] += 40 * table["fault"]
    table.to_parquet(tmp_path / "recent.parquet", index=False)
    return tmp_path / "recent.parquet"


def _register(*detectors):
    with mlflow.start_run():
        for detector in detectors:
            registry.register(flavor.log_model(detector), "sales")


def _champion():
    return registry.version_of("sales", "champion")


@pytest.mark.parametrize("label", [{}, {"label": "fault", "normal": False}])
def test_a_better_challenger_is_promoted_and_can_be_rolled_back(
    mlflow_store, poor, good, recent, label
):
    _register(poor, good)
    settings = PromoteSettings(data=recent, registered_name="sales", rule=LENIENT, **label)

    outcome = promote(settings)

    assert outcome.verdict.promote
    assert (outcome.champion, outcome.challenger, _champion()) == ("1", "2", "2")
    tags = MlflowClient().get_model_version("sales", "2").tags
    assert tags[registry.REPLACED] == "1"
    known = json.loads(tags[registry.METRICS])
    assert ("average_precision" in known) == bool(label)
    result = CliRunner().invoke(main, ["--name", "sales", "--rollback", "--reason", "no"])
    assert "version 1 is champion again, not 2" in result.output
    assert _champion() == "1"


def test_a_worse_challenger_is_kept_out_with_reasons(mlflow_store, poor, good, recent):
    _register(good, poor)
    arguments = ["--data", str(recent), "--name", "sales", "--label", "fault", "--normal", "False"]

    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == ExitCode.NOT_PROMOTED, result.output
    assert "version 1 stays champion, not 2" in result.output
    assert "against  average precision" in result.output
    assert _champion() == "1"


def test_every_comparison_is_a_run_with_its_evidence(mlflow_store, poor, good, recent):
    _register(good, poor)

    outcome = promote(PromoteSettings(data=recent, registered_name="sales", experiment="e"))

    run = mlflow.get_run(outcome.run_id)
    assert run.data.tags["anomdiff.promoted"] == "False"
    assert {"champion.separation", "challenger.separation"} <= run.data.metrics.keys()
    report = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/promotion.json")
    assert report["verdict"]["failed"] == list(outcome.verdict.failed)


def test_a_model_of_fewer_columns_is_kept_out(mlflow_store, good, recent):
    fewer = TabularDetector(max_iter=200, **QUICK).fit(
        mixed_table(300, seed=0).drop(columns="kind")
    )
    _register(good, fewer)

    outcome = promote(PromoteSettings(data=recent, registered_name="sales"))

    assert "columns ['kind'] are lost" in outcome.verdict.failed


def test_models_of_series_are_compared_too(mlflow_store, tmp_path):
    detector = TimeSeriesDetector(**TINY_SERIES).fit(waves(300, seed=0))
    _register(detector, detector)
    waves(500, seed=1).to_parquet(tmp_path / "recent.parquet", index=False)

    outcome = promote(
        PromoteSettings(data=tmp_path / "recent.parquet", registered_name="sales", rule=LENIENT)
    )

    assert outcome.verdict.promote
    assert _champion() == "2"


def test_without_a_challenger_there_is_nothing_to_do(mlflow_store, good, recent):
    _register(good)

    result = CliRunner().invoke(main, ["--data", str(recent), "--name", "sales"])

    assert result.exit_code == 0
    assert "no challenger, so version 1 stays champion" in result.output


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "need recent rows to compare on; got no `data`"),
        (["--data", "none.parquet"], "need a table at none.parquet"),
        (["--rollback"], "need a version that version 1 of 'sales' has replaced"),
        (["--data", "x.csv", "--name", "nobody"], "need a registered model 'nobody'; got: "),
        (["--data", "x.csv", "--name", "nobody"], "Train one with `anomdiff train`"),
        (["--rollback", "--name", "nobody"], "Train one with `anomdiff train`"),
        (["--data", "x.csv", "--label", "fault"], "need `normal`"),
    ],
)
def test_a_mistake_is_reported_in_one_sentence(mlflow_store, good, options, sentence):
    _register(good, good)

    result = CliRunner().invoke(main, ["--name", "sales", *options])

    assert result.exit_code in (ExitCode.SETTINGS, ExitCode.DATA, ExitCode.MODEL)
    assert sentence in result.output
    assert "Traceback" not in result.output


def test_the_example_settings_are_the_defaults():
    path = Path(__file__).parents[2] / "pipelines" / "configs" / "promote.toml"

    assert PromoteSettings.load(path) == PromoteSettings(data="recent.parquet")


def test_a_misspelt_rule_is_reported(tmp_path):
    path = tmp_path / "promote.toml"
    path.write_text("[rule]\naurok = 0.1\n")

    with pytest.raises(ValueError, match="rule.aurok"):
        PromoteSettings.load(path)
