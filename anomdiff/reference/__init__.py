"""The reference set: normal rows and windows that others are compared with; tensors only.

reference_set.py      reference rows of a table, and how far apart rows are around each
nearest.py            the search for the nearest reference row
subset_search.py      distances to subsets of the reference rows, in some columns or all
conditional_means.py  means and picks of hidden entries, given the others, by reference events
trimming.py           the most central of rows that hold anomalies
sliding_windows.py    windows cut from a segment, and their errors folded back to steps
window_bank.py        reference windows and levels of one length, and the distance to them
segments.py           which windows and steps of training segments are used for what

In: encoded rows and segments. Out: distances, means, drawn windows. May import
``anomdiff.encoding.segment`` and ``anomdiff.diffusion``; never pandas, scikit-learn or MLflow.
"""
