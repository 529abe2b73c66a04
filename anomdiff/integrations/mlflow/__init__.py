"""A detector in MLflow: tracked, registered, evaluated and served like any other model.

- `flavor.py`: save, log and load a detector; `signature.py`: types of its requests and answers;
  `pyfunc_model.py`: what a served model does with a request
- `runs.py`: what a training run records; `callbacks.py`: its losses while it trains;
  `model_description.py`: a model in a few lines;
  `autologging.py`: `autolog`, a run for every fit; `sweep.py`: a search for parameters
- `registry.py`: versions and the aliases `champion` and `challenger`; `evaluation.py`: metrics;
  `history.py`: figures of a monitored model by day
- `tracking_store.py`: where runs and models are kept

In: detectors and training frames. Out: runs, logged models, registered versions.
May import mlflow, matplotlib (by `plots`) and every room but `jobs`.
"""

from typing import Any

__all__ = ["autolog"]


def __getattr__(name: str) -> Any:
    """Import `autolog` when it is asked for: a server that scores needs no pictures of runs."""
    if name == "autolog":
        from anomdiff.integrations.mlflow.autologging import autolog

        return autolog
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
