"""How good the scores of a detector are, given labels.

`detection` (AUROC, average precision, precision at k; for series VUS, range and event F1, and the
period that gives the window of VUS), `flags` (affiliation and range-based precision and recall of
steps that are flagged already; both files check their input), `ranges` (the arithmetic of runs of
rows behind them). In: labels and scores or flags, one per row. Out: figures, the larger the better.

May import numpy, scipy and scikit-learn; nothing of ours, for a figure must not know which
detector it judges.
"""
