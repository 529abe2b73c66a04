"""The fitted models: frozen objects from a frame to scores, with all that ``fit`` learned.

tabular_model.py   TabularModel; tabular_fit.py: how it is fitted; tabular_update.py: further rows
  taken in without training; corruption.py: copies of rows that weigh its components
segmented_model.py SegmentedModel, one per value of a column; common_scale.py: of their scores
row_components.py  components of rows, block by block; encoded_rows.py: rows as tensors
training_rows.py   what is learned besides the network: split, reference, subsets, categories
window_model.py    WindowModel: the same for series; window_fit.py, window_fields.py: fit, store;
  window_calibration.py: normal steps; forward_errors.py: the end of training by what came before
segment_errors.py  errors of its components; judged_steps, silent_channels: what is told of steps
training_run.py    training one denoiser: weights, checkpoint, hooks; progress.py: bars
parameters.py      their ranges; stored_checks.py: a stored model, checked; parallel.py: blocks

In: checked frames and parameters. Out: models that score, and that the answers ask. May import
pandas, scikit-learn and the rooms below; knows nothing of estimators, files or MLflow.
"""
