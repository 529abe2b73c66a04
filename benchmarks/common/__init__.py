"""The harness of all comparisons: labelled sets in, a CSV of results and one line of means out.

`comparison` (a method on a set, measured), `methods` (ours and the baselines, on arrays),
`processes` (many measurements side by side, time and memory), `results` (the CSV and its means),
`commands` (the options that all commands have). It knows neither tables nor series.
"""
