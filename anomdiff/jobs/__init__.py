"""Scheduled jobs: settings and files in; files, MLflow runs and registered models out.

The jobs: `init` (settings files), `train` (a registered model), `score` (scored rows and alarms),
`explain` (reasons), `inspect` (a model), `threshold` (alarms by threshold), `feedback` (verdicts),
`monitor` (drift), `retrain` (after drift), `promote` (the champion), `demo`, `mcp` (tools).
Settings: `base_settings` (TOML, checked), `settings`, `feedback_settings`, `spark_settings`,
`retrain_settings`, `settings_files` (as text), `assignments` (--set), `command_line` (options).
What they share: `exit_codes`, `errors`, `stores` (addresses, databases), `runs` (what survives a
crash), `readers` (tables; `tables` is behind that door), `writers` (complete outputs or none),
`row_files` (small tables), `labels` (normal rows), `training_rows`, `rescued` (fitted, not logged),
`registered`, `model_columns`, `baseline` (IsolationForest), `verdict_store`, `dry_run`.
Of `score`: `batch` (rows in, files out), `spark` (by Spark), `alarms`, `alarm_rules`, `alerts`.
May import every room; only `anomdiff.cli` imports a job.
"""
