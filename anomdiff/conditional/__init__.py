"""What hidden cells are: means and draws of missing cells, of steps to come, of whole new rows.

In: a fitted model (`TabularModel`, `WindowModel`) and a frame, or its encoded rows or segments.
Out: frames, or tensors. Imports models, reference, diffusion and encoding.

Tensors, without pandas: constants (all tuned numbers), stacking (weights of guesses),
row_imputer, window_imputer, forecaster, intervals (of hidden steps).
Frames: draws (seeds, counts, quantile map), reference_rows, imputation, forecasts, row_sampling,
window_sampling.
"""
