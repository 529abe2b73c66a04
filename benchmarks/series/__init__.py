"""Detectors compared on labelled series: `python -m benchmarks.series --help`.

`reading` (files of public benchmarks), `generated` (series with planted anomalies), `methods`
(ours and baselines that score windows), `suites` (what is measured on each, and the lines that
report it beside published figures), `alarms` (how many alarms new normal steps raise, by the
length of training), `events` (how well flagged steps mark the anomalies of labelled files),
`calendar` (a load whose normal depends on the hour, holidays and temperature), `plants` (attacks on
two sensors of forty), `faults` (faults of known place).
"""
