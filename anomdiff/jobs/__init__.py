"""Scheduled jobs: settings and files in; files, MLflow runs and registered models out.

The jobs: `train` (a registered model), `score` (a scored file, alarms and a summary), `promote`
(compare challenger and champion), `monitor` (drift of a batch), `demo` (all of it on one screen).
What they share: `settings` (TOML, checked), `command_line` (options, errors in one sentence),
`exit_codes`, `readers` (tables in files; `tables` is what is behind that door), `writers` (complete
files or none), `row_files` (small tables, also as text), `labels` (which rows are normal),
`model_columns` (columns that a model reads), `baseline` (IsolationForest, for the demo).
Of `score`: `scoring_input` (batches of a table), `series_groups` (batches that cut no series),
`series_status` (what became of each series), `quarantine` (rows that cannot be read),
`scored_files` (what is written), `alarms` (the alarm table), `summary` (of a scored file),
`alarm_causes` (columns that raise too many alarms). May import every room; only `anomdiff.cli`
imports a job.
"""
