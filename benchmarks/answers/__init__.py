"""What a detector answers beside its scores, measured: one file an answer.

Each has ``tables`` or a reader of its own, ``measure``, whose frame is written as CSV, and
``summary``, one line. ``python -m benchmarks.answers --help`` runs them.
"""
