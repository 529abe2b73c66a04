"""Stored models, their inputs, and every number that they answered when they were stored.

``models/NAME_FORMAT`` is a folder as ``anomdiff.save`` wrote it in that storage format, and
``mlflow/NAME_FORMAT`` the same detector as the MLflow flavor wrote it; ``inputs/NAME.parquet`` is
what both are asked about, and ``expected`` holds the answers. ``mlflow/code_FORMAT.zip`` is the
package as it was, which belongs into the folder ``code`` of those models: zipped, so that it is
stored once and stays out of searches. Whoever changes what is answered runs
``python -m tests.golden.make`` and reads the diff.
"""
