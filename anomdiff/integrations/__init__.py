"""Where detectors meet other systems: MLflow keeps and serves them, Spark scores with them.

- `mlflow/`: runs, logged models, the registry, evaluation, sweeps
- `spark/`: scores beside the columns of a Spark frame, and what jobs need of Spark

In: detectors, fitted or to be fitted, and frames. Out: runs and models in MLflow, Spark frames.
May import every room but `jobs`; only `jobs` imports this one, inside functions. Only `mlflow/`
imports mlflow and only `spark/` imports pyspark: both take seconds to load.
"""

__all__: list[str] = []
