"""Scoring by Spark: the batch of a night, with the results of `anomdiff.jobs.batch`.

`engines` (this process or Spark, as the settings say), `table` (files, Delta and Iceberg tables
through Spark's readers), `numbers` (of rows, in the order of the files), `worker` (cells read and
rows scored on a worker), `incidents` (of a series, found on a worker), `counts` (what the summary
and the statuses count), `files` (what is written).

In: settings, a model and a Spark session. Out: a folder of parquet files, and the other files
under their temporary names. May import what jobs may, but no job, and no pyspark:
`anomdiff.integrations.spark` does.
"""
