"""Detectors compared on suites of labelled tables: `python -m benchmarks.tables --help`.

`reading` (what a folder holds), `protocols` (which rows train and which are tested), `methods`
(ours and the baselines on raw tables), `published` (means of published tables on the same sets),
`ablation` (what each part of the score adds).
"""
