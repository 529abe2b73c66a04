"""From denoisers to numbers a user can trust: scores, p-values, thresholds, reasons.

In come encoded rows and fitted denoisers, out come reconstruction errors per noise level
(``reconstruction``) and distances to remembered rows (``memory``), both put together in
``ensemble``; one calibrated score per row with its p-value and threshold (``calibration``),
other thresholds (``thresholds``, ``costs``); and the share of each column (``attribution``).

Imports torch, numpy and ``anomdiff.diffusion``. Separate from the detectors because a score is a
pure function of one row and fitted numbers: the same in a notebook, a batch job and a server.
"""
