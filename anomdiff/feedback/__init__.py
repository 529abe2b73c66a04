"""What people's verdicts on alarms say about the next ones; the detector stays as it is.

`verdicts` (spellings, precision of judged alarms), `nearest_verdicts` (distances of rows to judged
rows, and the radius within which a verdict holds), `reweighting` (trees on judged rows, used where
cross-validation shows that they help), `judge` (all of it, for the alarms of a batch).

In: a fitted detector of rows, judged rows with their verdicts, alarms. Out: for each alarm a
priority, the nearest verdict and whether it silences the alarm. May import `detectors` and what
lies below; `jobs` imports it.
"""
