"""Scheduled jobs: read a config, read data, call the library, log, return.

In: a TOML file (`settings.py`) and tables (`tables.py`) of rows or of whole series (`panels.py`).
Out: an MLflow run (`train.py`) or a scored parquet file (`score.py`).
May import anything of ours; nothing imports the jobs.
Separate because a job knows paths, options and progress bars, and the library must not.
"""

import os

# What torch and MLflow read when they are imported; the user's own settings win.
for _name, _value in {
    "OMP_WAIT_POLICY": "PASSIVE",  # idle threads sleep: worth a factor of ten on a busy machine
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",  # a machine without git is no reason for 45 lines of warning
}.items():
    os.environ.setdefault(_name, _value)
