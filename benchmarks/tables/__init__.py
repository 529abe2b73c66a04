"""Detectors compared on suites of labelled tables: `python -m benchmarks.tables --help`.

`reading` (what a folder holds), `protocols` (which rows train and which are tested), `methods`
(ours and the baselines on raw tables), `regret` (ours against the best baseline of each set),
`ablation` (what each part of the score adds).
"""
