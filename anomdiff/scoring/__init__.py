"""Components of the score and their combination; tensors only.

reconstruction.py   partial-noise errors of the network; reconstruction_component.py: of a row
ensemble.py         all components of a row: network, distances, categories (cooccurrence.py)
calibration.py      from components of rows to one score: surprisal.py, separation.py (weights)
missing_cells.py    what the missing cells of a row add to its score
step_regression.py  single steps from the steps around; channel_regression.py: from the channels
window_scores.py    the network on windows, and from components of steps to one window score
local_variation.py  too quiet is an anomaly; frozen_runs.py: so are long runs of equal values
residual_tails.py   how surprising residuals are; step_evidence.py: added up (excursions.py)
step_scores.py      window scores and evidence put together

In: encoded rows or windows and fitted denoisers. Out: errors by component, and scores. May import
``anomdiff.reference`` and ``anomdiff.diffusion``. A score is a pure function of one row and fitted
numbers: the same everywhere.
"""
