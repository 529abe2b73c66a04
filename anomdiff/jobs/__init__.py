"""Scheduled jobs: settings and files in; files, MLflow runs and registered models out.

The jobs: `init` (settings files), `train` (a registered model), `score` (scored rows and alarms),
`threshold` (alarms by threshold), `feedback` (verdicts; `feedback_settings`, `verdict_store`),
`promote` (challenger and champion), `monitor` (drift), `demo`.
What they share: `settings` (TOML, checked), `settings_files` (as text), `assignments` (--set),
`command_line` (options), `exit_codes`, `errors` (of stores), `stores` (addresses, databases),
`readers` (tables; `tables` is what is behind that door), `writers` (complete outputs or none),
`row_files` (small tables, also as text), `labels` (which rows are normal), `model_columns` (columns
that a model reads), `baseline` (IsolationForest).
Of `score`: `scoring_input` (batches of a table), `series_groups` (batches that cut no series),
`series_status` (what became of each series), `quarantine` (rows that cannot be read),
`scored_files` (what is written), `alarms` (the alarm table), `alarm_rules`, `summary` (of a
scored file), `alarm_causes` (columns that raise too many). May import every room; only
`anomdiff.cli` imports a job.
"""
