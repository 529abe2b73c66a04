import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from anomdiff.integrations.mlflow import registry
from anomdiff.integrations.mlflow.flavor import log_model


@pytest.fixture
def model(mlflow_store, detector):
    with mlflow.start_run():
        return log_model(detector)


@pytest.fixture
def versions(model):
    """Three versions, of which the first is champion and the last challenger."""
    return [registry.register(model, "sales").version for _ in range(3)]


def _aliases():
    aliases = MlflowClient().get_registered_model("sales").aliases
    return {alias: str(version) for alias, version in aliases.items()}


def _tags(version):
    return MlflowClient().get_model_version("sales", version).tags


def test_the_first_version_is_champion_and_stays_it(model):
    versions = [registry.register(model, "sales") for _ in range(3)]

    assert [version.alias for version in versions] == ["champion", "challenger", "challenger"]
    assert [version.replaced for version in versions] == [None, None, "2"]
    assert _aliases() == {"champion": "1", "challenger": "3"}


def test_a_version_remembers_its_run_and_what_it_was_told(model):
    version = registry.register(model, "sales", {"alpha": 0.01})

    found = MlflowClient().get_model_version("sales", version.version)
    assert found.tags == {"run_id": model.run_id, "alpha": "0.01"}
    assert version.uri == "models:/sales/1"


def test_a_promotion_moves_the_alias_and_says_why(versions):
    done = registry.promote("sales", "3", ["it is better"], metrics={"auroc": 0.9})

    assert done == ("sales", "3", "champion", "1")
    assert _aliases() == {"champion": "3"}
    tags = _tags("3")
    assert tags[registry.REPLACED] == "1"
    assert tags[registry.REASONS] == "it is better"
    assert tags[registry.METRICS] == '{"auroc": 0.9}'
    assert tags[registry.PROMOTED_AT].startswith("20")


def test_another_version_can_be_promoted_while_the_challenger_stays(versions):
    registry.promote("sales", "2", ["by hand"])

    assert _aliases() == {"champion": "2", "challenger": "3"}


def test_a_rollback_undoes_promotions_one_by_one(versions):
    registry.promote("sales", "2", ["better"])
    registry.promote("sales", "3", ["better still"])

    first = registry.rollback("sales", "too many alarms")
    second = registry.rollback("sales")

    assert (first.version, first.replaced) == ("2", "3")
    assert (second.version, second.replaced) == ("1", "2")
    assert _aliases() == {"champion": "1"}
    assert _tags("3")[registry.WITHDRAWN_FOR] == "too many alarms"
    assert registry.RESTORED_AT in _tags("1")


def test_what_cannot_be_rolled_back_is_told(versions):
    with pytest.raises(ValueError, match="need a version that version 1 of 'sales' has replaced"):
        registry.rollback("sales")
    MlflowClient().delete_registered_model_alias("sales", "champion")
    with pytest.raises(ValueError, match="need a champion of 'sales' to roll back; got none"):
        registry.rollback("sales")


def test_the_champion_stays_if_the_version_before_is_gone(versions):
    registry.promote("sales", "3", ["better"])
    MlflowClient().delete_model_version("sales", "1")

    with pytest.raises(MlflowException):
        registry.rollback("sales")

    assert _aliases() == {"champion": "3"}


def test_the_champion_cannot_replace_itself(versions):
    with pytest.raises(ValueError, match="need another version than the champion; got 1"):
        registry.promote("sales", "1", [])

    assert registry.REPLACED not in _tags("1")
