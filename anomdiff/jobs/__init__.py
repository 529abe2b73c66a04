"""Scheduled jobs: settings and files in; files, MLflow runs and registered models out.

The jobs: `init` (settings files to begin with), `train` (a registered model), `score` (a scored
file and its summary), `threshold` (alarms by threshold), `promote` (challenger and champion),
`monitor` (drift of a batch), `demo`.
What they share: `settings` (TOML, checked), `settings_files` (as text), `command_line` (options,
errors in one sentence), `readers` (tables in files; `tables` is what is behind that door),
`writers` (complete files or none), `labels` (which rows are normal), `model_columns` (columns that
a model reads), `scoring_input` (batches to score), `series_groups` (batches that cut no series),
`summary` (of a scored file), `alarm_causes` (columns that raise too many alarms), `baseline`
(IsolationForest, for the demo). May import every room;
only `anomdiff.cli` imports a job.
"""
