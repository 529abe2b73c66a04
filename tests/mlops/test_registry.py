import pytest
from mlflow import MlflowClient

from anomdiff.mlops import registry
from anomdiff.mlops.runs import log_training


@pytest.fixture
def model(mlflow_store, small, table):
    return log_training(small, table, experiment="e")


def test_the_first_version_is_champion_and_stays_it(model):
    versions = [registry.register(model, "sales") for _ in range(3)]

    aliases = MlflowClient().get_registered_model("sales").aliases
    assert [version.alias for version in versions] == ["champion", "challenger", "challenger"]
    assert [version.replaced for version in versions] == [None, None, "2"]
    assert {alias: str(version) for alias, version in aliases.items()} == {
        "champion": "1",
        "challenger": "3",
    }


def test_a_version_remembers_its_run_and_what_it_was_told(model):
    version = registry.register(model, "sales", {"alpha": 0.01})

    found = MlflowClient().get_model_version("sales", version.version)
    assert found.tags == {"run_id": model.run_id, "alpha": "0.01"}
    assert version.uri == "models:/sales/1"
