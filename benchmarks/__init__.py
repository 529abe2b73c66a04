"""The figures of the README: public data in, a CSV of results and one line of means out.

`python -m benchmarks.tabular --help` says how to run the tables. The modules, in the order in
which they are used: `suites` (what a folder holds), `protocols` (who trains and who is tested),
`methods` (ours and the baselines), `runs` (one measurement, many processes), `results` (the CSV,
its means, the published figures).

It may import `anomdiff` and is imported by nothing: no data set, label or baseline gets near the
library, and the library stays free of what only a comparison needs.
"""
