"""From scores to p-values and thresholds; numpy only, and usable without a detector.

conformal.py      p-values, also under covariate shift, and the threshold that flags the same rows
fdr.py            flags of a batch of which at most a given share is expected to be false; q-values
severity.py       a score as a number from 0 to 100 that compares between batches
extreme_value.py  alarms rarer than calibration rows can show
budget.py         at most so many alarms a day, or segments of alarms per 1,000 steps
cost.py           the least expected cost, and what analysts' verdicts say
checks.py         what scores, weights and shares have to be like

In: scores (larger is more anomalous; a row is flagged where ``score > threshold``). Out: flags,
p-values, thresholds. May import numpy and scipy.
"""
