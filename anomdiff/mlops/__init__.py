"""The detector inside MLflow: logged, registered, loaded and served like any other model.

In: fitted detectors and their training frames. Out: MLflow runs (`runs.py`), models of the flavor
`anomdiff` (`flavor.py`) and registered versions with their aliases (`registry.py`).
May import mlflow, matplotlib and every room below; only the jobs in `pipelines/` import it.
Separate because `import mlflow` takes seconds, and a detector must work without a tracking store.
"""
