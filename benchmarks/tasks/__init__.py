"""What a detector answers beside its scores, measured: `python -m benchmarks.tasks --help`.

`thresholds`, `attribution`, `repairs`, `imputation`, `samples` and `forecast` (of what
`seasonal_series` picks) are one answer each. Each has ``read`` (a folder, or generated data),
``measure``, whose frame is written as CSV, and ``summary`` and ``figure``, a line and its part of
the last line. `data` has what they share.
"""
