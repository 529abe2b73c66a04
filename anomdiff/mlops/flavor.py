"""The loader of models that were logged by version 0.1.0.

Their `MLmodel` files say `loader_module: anomdiff.mlops.flavor`, and MLflow calls `_load_pyfunc`
of that module. New models name `anomdiff.integrations.mlflow.flavor`.
"""

from anomdiff.integrations.mlflow.flavor import _load_pyfunc

__all__ = ["_load_pyfunc"]
