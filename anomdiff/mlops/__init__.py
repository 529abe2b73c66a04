"""The former place of `anomdiff.integrations.mlflow`, kept for models that MLflow already has.

`flavor.py` is all that is left: logged models name it as their loader. Nothing else is to import
this room; it may import `integrations.mlflow`, and does so only when MLflow loads such a model.
"""

__all__: list[str] = []
