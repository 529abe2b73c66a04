"""The figures of the README: public data in, a CSV of results and one line of means out.

`tables` and `series` compare detectors on labelled sets, `tasks` the answers (thresholds,
attribution, repairs, imputation, samples, forecasts), `systems` speed and memory of the endpoint,
the jobs, Spark and streams. `common` is the harness of all.

It may import `anomdiff` and is imported by nothing: no data set, label or baseline gets near the
library, and the library stays free of what only a comparison needs.
"""
