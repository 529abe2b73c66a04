"""The detector inside MLflow: logged, registered, loaded and served like any other model.

In: fitted detectors and their training frames. Out: MLflow runs (`runs.py`, `autologging.py`,
`sweep.py`, `evaluation.py`), models of the flavor `anomdiff` (`flavor.py`) and registered versions
with their aliases (`registry.py`, by the rules of `promotion.py`); scores on Spark (`spark.py`).
May import mlflow, matplotlib and every room below; only the jobs in `pipelines/` import it.
Separate because `import mlflow` takes seconds, and a detector must work without a tracking store.
"""

__all__ = ["autolog"]


def __getattr__(name: str):
    """Import `autolog` when it is asked for: a server that scores needs no pictures of runs."""
    if name == "autolog":
        from anomdiff.integrations.mlflow.autologging import autolog

        return autolog
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
