"""The MLflow flavor `anomdiff`: a detector as safetensors and JSON, with its own code beside it.

A logged model carries this package in `code/`, all of it because it is small, so that restoring it
never asks a package index for a project of this name. Its requirements list only what scoring
imports.
"""

import sys
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.models.model import ModelInfo

import anomdiff
from anomdiff.detectors.base import DiffusionDetector
from anomdiff.integrations.mlflow.pyfunc_model import PyfuncModel
from anomdiff.integrations.mlflow.signature import as_input, infer_signature
from anomdiff.storage import load, save

__all__ = [
    "FLAVOR_NAME",
    "as_input",
    "default_requirements",
    "infer_signature",
    "load_model",
    "log_model",
    "save_model",
]

FLAVOR_NAME = "anomdiff"
# What loading, scoring and explaining import; a test follows the imports and compares.
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
# Not imported, but used by a server that finds it: without it each answer of one of several
# workers waits some 40 ms for the network. There is none for Windows.
SERVER_REQUIREMENTS = {"uvloop": "sys_platform != 'win32'"}


def save_model(
    detector: DiffusionDetector,
    path: Path | str,
    *,
    input_example: pd.DataFrame | None = None,
    signature: ModelSignature | str | None = None,
    pip_requirements: list[str] | None = None,
    metadata: Mapping[str, object] | None = None,
    mlflow_model: Model | None = None,
) -> None:
    """Write a fitted detector to a folder as an MLflow model.

    Parameters
    ----------
    detector : TabularDetector, SegmentedDetector or TimeSeriesDetector
        Fitted detector.
    path : Path or str
        Folder to write; it must not exist or be empty.
    input_example : DataFrame, optional
        A few rows as `fit` takes them. They become readable to whoever can read the model.
    signature : {"columns", "tensor"} or ModelSignature, default="columns"
        Style of `infer_signature`, or a signature of your own.
    pip_requirements : list of str, optional
        By default the installed versions of what scoring imports.
    metadata : mapping, optional
        JSON values to keep in the `MLmodel` file.
    mlflow_model : Model, optional
        The MLflow model this flavor is added to.
    """
    package = Path(anomdiff.__file__).parent
    model = Model() if mlflow_model is None else mlflow_model
    if not isinstance(signature, ModelSignature):
        signature = infer_signature(detector, signature or "columns", input_example)
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
            signature=signature,
            input_example=_example(detector, input_example, signature),
            pip_requirements=pip_requirements or default_requirements(detector),
            metadata=None if metadata is None else dict(metadata),
        )
    _make_readable(Path(path))


def log_model(
    detector: DiffusionDetector,
    name: str = "model",
    *,
    registered_model_name: str | None = None,
    input_example: pd.DataFrame | None = None,
    signature: ModelSignature | str | None = None,
    pip_requirements: list[str] | None = None,
    metadata: Mapping[str, object] | None = None,
) -> ModelInfo:
    """Log a fitted detector to the active run (a new one if there is none).

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        Fitted detector.
    name : str, default="model"
        Name of the logged model.
    registered_model_name : str, optional
        Also make a version of this registered model. `registry.register` does that and sets
        the aliases.
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


def load_model(model_uri: str, dst_path: Path | str | None = None) -> DiffusionDetector:
    """Load a detector; nothing but JSON and safetensors is read, and no code of the model runs.

    Parameters
    ----------
    model_uri : str
        Such as `models:/NAME@champion`, `models:/NAME/3`, `runs:/RUN/model` or a folder.
    dst_path : Path or str, optional
        Existing folder to keep the downloaded files in; by default they are deleted again.

    Returns
    -------
    detector : TabularDetector or TimeSeriesDetector
        The fitted detector.

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


def default_requirements(detector: DiffusionDetector) -> list[str]:
    """Pinned packages that scoring imports, and what the server uses; MLflow adds itself."""
    of_country = isinstance(detector.get_params().get("holidays"), str)
    needed = [_pinned(name) for name in [*REQUIREMENTS, *["holidays"] * of_country]]
    installed = [name for name in SERVER_REQUIREMENTS if find_spec(name)]
    return needed + [f"{_pinned(name)} ; {SERVER_REQUIREMENTS[name]}" for name in installed]


def _pinned(name: str) -> str:
    # "2.13.0+cpu" names one build of a version; a server may want the one for its GPU.
    return f"{name}=={version(name).split('+')[0]}"


def _example(
    detector: DiffusionDetector, frame: pd.DataFrame | None, signature: ModelSignature
) -> pd.DataFrame | np.ndarray | None:
    if frame is None:
        return None
    tensor = signature.inputs is not None and signature.inputs.is_tensor_spec()
    return as_input(detector, frame, "tensor" if tensor else "columns")


def _load_pyfunc(path: str) -> PyfuncModel:
    """Entry point of `mlflow.pyfunc.load_model`."""
    return PyfuncModel(load(path))


def _make_readable(folder: Path) -> None:
    """Let a server that runs as another user read the model: safetensors writes mode 0600."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
