"""Detectors compared on suites of labelled tables: `python -m benchmarks.tables --help`.

`reading` (what a folder holds), `generated` (tables with known anomalies: `generated_rows`,
`generated_anomalies`, `generated_payments`), `labelled` (a table and its anomalies), `protocols`
(which rows train and which are tested), `methods` (ours and the baselines on raw tables), `regret`
(ours against the best baseline of each set), `ablation` (what each part of the score adds),
`later_rows` (alarms among rows later than those of training), `segments` (a model per country).
"""
