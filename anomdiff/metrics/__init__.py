"""How good a detector is, and data whose truth is known.

In: labels and scores, or the size of a table to make. Out: figures, and tables with their truth.
May import numpy, pandas, scipy and scikit-learn; nothing of ours, no torch and no mlflow.
Separate because a figure must not know which detector it judges.
"""
