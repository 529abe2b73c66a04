"""The MLflow flavor `anomdiff`: a detector as safetensors and JSON, with its own code beside it.

A logged model carries this package in `code/`, so that restoring it never asks a package index for
a project of this name, and its requirements list only what scoring imports.
"""

import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types.schema import ColSpec, DataType, Schema

import anomdiff
from anomdiff.detectors.tabular import TabularDetector
from anomdiff.encoding.schema import Column
from anomdiff.storage import load, save

FLAVOR_NAME = "anomdiff"
REQUIREMENTS = (
    "jaxtyping",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "scikit-learn",
    "scipy",
    "torch",
    "tqdm",
)
DATA_TYPES = {
    "number": DataType.double,
    "category": DataType.string,
    "boolean": DataType.boolean,
    "datetime": DataType.datetime,
}
OUTPUTS = Schema(
    [
        ColSpec(DataType.double, "anomaly_score"),
        ColSpec(DataType.double, "p_value"),
        ColSpec(DataType.boolean, "is_anomaly"),
    ]
)


def save_model(
    detector: TabularDetector,
    path: Path | str,
    *,
    input_example: pd.DataFrame | None = None,
    signature: ModelSignature | None = None,
    pip_requirements: list[str] | None = None,
    metadata: Mapping[str, object] | None = None,
    mlflow_model: Model | None = None,
) -> None:
    """Write a fitted detector to a folder as an MLflow model.

    Parameters
    ----------
    detector : TabularDetector
        Fitted detector.
    path : Path or str
        Folder to write; it must not exist or be empty.
    input_example : DataFrame, optional
        A few rows as `fit` takes them. They become readable to whoever can read the model.
    signature : ModelSignature, optional
        By default `infer_signature(detector)`.
    pip_requirements : list of str, optional
        By default the installed versions of what scoring imports.
    metadata : mapping, optional
        JSON values to keep in the `MLmodel` file.
    mlflow_model : Model, optional
        The MLflow model this flavor is added to.
    """
    package = Path(anomdiff.__file__).parent
    model = Model() if mlflow_model is None else mlflow_model
    model.add_flavor(
        FLAVOR_NAME,
        anomdiff_version=anomdiff.__version__,
        estimator=type(detector).__name__,
        data="data/detector",
        code="code",
    )
    with TemporaryDirectory() as folder:
        save(detector, Path(folder) / "detector")
        mlflow.pyfunc.save_model(
            str(path),
            loader_module=__name__,
            data_path=str(Path(folder) / "detector"),
            code_paths=[str(package)],
            mlflow_model=model,
            signature=infer_signature(detector) if signature is None else signature,
            input_example=None if input_example is None else as_input(detector, input_example),
            pip_requirements=pip_requirements or default_requirements(),
            metadata=None if metadata is None else dict(metadata),
        )
    _let_others_read(Path(path))


def log_model(
    detector: TabularDetector,
    name: str = "model",
    *,
    registered_model_name: str | None = None,
    input_example: pd.DataFrame | None = None,
    signature: ModelSignature | None = None,
    pip_requirements: list[str] | None = None,
    metadata: Mapping[str, object] | None = None,
) -> ModelInfo:
    """Log a fitted detector to the active run (a new one if there is none).

    Parameters
    ----------
    detector : TabularDetector
        Fitted detector.
    name : str, default="model"
        Name of the logged model.
    registered_model_name : str, optional
        Also make a version of this registered model. `registry.register` does that too, and
        looks after the aliases.
    input_example, signature, pip_requirements, metadata
        As in `save_model`.

    Returns
    -------
    info : ModelInfo
        MLflow's description of the logged model, with its `model_uri`.
    """
    return Model.log(
        artifact_path=None,
        name=name,
        flavor=sys.modules[__name__],
        registered_model_name=registered_model_name,
        detector=detector,
        input_example=input_example,
        signature=signature,
        pip_requirements=pip_requirements,
        metadata=metadata,
    )


def load_model(model_uri: str, dst_path: Path | str | None = None) -> TabularDetector:
    """Load a detector; nothing but JSON and safetensors is read, and no code of the model runs.

    Parameters
    ----------
    model_uri : str
        Such as `models:/NAME@champion`, `models:/NAME/3`, `runs:/RUN/model` or a folder.
    dst_path : Path or str, optional
        Existing folder to keep the downloaded files in; by default they are deleted again.

    Raises
    ------
    ValueError
        If the model was logged by another flavor, or its files are damaged.
    mlflow.exceptions.MlflowException
        If there is no such model.
    """
    with TemporaryDirectory() as folder:
        local = Path(
            mlflow.artifacts.download_artifacts(
                artifact_uri=str(model_uri), dst_path=str(dst_path or folder)
            )
        )
        flavors = Model.load(str(local)).flavors
        if FLAVOR_NAME not in flavors:
            raise ValueError(
                f"need a model of the flavor {FLAVOR_NAME!r}; got {', '.join(flavors)} "
                f"at {model_uri}."
            )
        return load(local / flavors[FLAVOR_NAME]["data"])


def infer_signature(detector: TabularDetector) -> ModelSignature:
    """Column types of requests and answers, from the schema of the training table.

    Numbers are doubles, also those that came as integers or text; columns with missing cells
    in training may be left out of a request.
    """
    inputs = [
        ColSpec(_data_type(column), str(column.name), required=not column.nullable)
        for column in detector.schema_.used
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=OUTPUTS)


def as_input(detector: TabularDetector, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with the types of the signature, as MLflow wants them before it calls `predict`."""
    checked = detector.schema_.check(frame)
    flags = [c.name for c in detector.schema_.used if _data_type(c) == DataType.boolean]
    # A flag that is missing here but never was in training cannot be a bool; MLflow then refuses.
    flags = [name for name in flags if checked[name].notna().all()]
    return checked.astype(dict.fromkeys(flags, bool)).rename(columns=str)


def default_requirements() -> list[str]:
    """Pinned packages that scoring imports; MLflow adds itself."""
    # "2.13.0+cpu" names one build of a version; a server may want the one for its GPU.
    return [f"{name}=={version(name).split('+')[0]}" for name in REQUIREMENTS]


class _TabularModel:
    """What MLflow calls: rows in, one record per row out."""

    def __init__(self, detector: TabularDetector):
        self.detector = detector
        used = detector.schema_.used
        self.names = {str(column.name): column.name for column in used}
        self.optional = [column.name for column in used if column.nullable]

    def predict(self, model_input: pd.DataFrame, params: Mapping | None = None) -> pd.DataFrame:
        """Score rows; `params` are MLflow's inference parameters, of which there are none yet."""
        rows = model_input.rename(columns=self.names)
        absent = [name for name in self.optional if name not in rows]
        return self.detector.score_frame(rows.reindex(columns=[*rows, *absent]))


def _load_pyfunc(path: str) -> _TabularModel:
    """Entry point of `mlflow.pyfunc.load_model`."""
    return _TabularModel(load(path))


def _data_type(column: Column) -> DataType:
    """Type in the signature: MLflow turns a missing boolean into False, so those travel as 0.0."""
    if column.kind == "boolean" and column.nullable:
        return DataType.double
    return DATA_TYPES[column.kind]


def _let_others_read(folder: Path) -> None:
    """Let a server that runs as another user read the model: safetensors writes mode 0600."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
