"""Spark: the same model and the same numbers, on tables beyond one machine.

- `scoring.py`: scores beside the columns of a Spark frame
- `sessions.py`: the session of a job, and what Spark says as one sentence
- `tables.py`: files and tables as Spark frames, whose rows can be numbered
- `frames.py`: functions of Arrow batches, and counts, of a Spark frame

In: fitted detectors and Spark frames. Out: Spark frames, and small tables of counts.
May import pyspark, and every room but `jobs`.
"""

from anomdiff.integrations.spark.scoring import score_panel, score_table, serialize, unpack

__all__ = ["score_panel", "score_table", "serialize", "unpack"]
