"""Components of the score and their combination; tensors only.

reconstruction.py   partial-noise errors of the network; reconstruction_component.py: of a row
cooccurrence.py     categories that do not go together
ensemble.py         all components of a row: network, distances to reference rows, categories
calibration.py      from components of rows to one score: surprisal.py, separation.py (weights)
missing_cells.py    what the missing cells of a row add to its score
step_regression.py  single steps from the steps around them
window_scores.py    the network on windows, and from components of steps to one score

In: encoded rows or windows and fitted denoisers. Out: errors by component, and scores. May import
``anomdiff.reference`` and ``anomdiff.diffusion``. A score is a pure function of one row and fitted
numbers: the same everywhere.
"""
