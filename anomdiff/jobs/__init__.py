"""Scheduled jobs: settings and files in; files, MLflow runs and registered models out.

The jobs: `train` (a registered model), `score` (a scored file and its summary), `promote` (compare
challenger and champion), `monitor` (drift of a batch), `demo` (all of it on one screen).
What they share: `settings` (TOML, checked), `command_line` (options), `errors` (of stores),
`readers` (tables; `tables` is what is behind that door), `writers` (complete outputs or none),
`stores` (local files, object stores, databases), `labels` (which rows are normal),
`model_columns` (columns that a model reads), `scoring_input` (batches of a table to score),
`series_groups` (batches that cut no series), `summary` (of a scored file), `alarm_causes` (columns
that raise too many alarms), `baseline` (IsolationForest, for the demo). May import every room;
only `anomdiff.cli` imports a job.
"""
