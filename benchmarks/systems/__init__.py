"""Speed, memory and faithfulness of what runs a detector, one command a file.

`serving` (the endpoint, with `endpoint`, its server and clients), `jobs` (train and score on raw
files), `stream` (a file larger than memory), `spark` (against the batch job), `speed` (a panel, a
long series, step by step), `dialects` (the demo on files as six programs write them), `drift`
(monitor, retrain, update and warm start on quarters that drift), `feedback` (verdicts on one batch,
precision of the next), `kills` (nights that are killed and go on); `files` has the generated file,
and runs a job.
"""
