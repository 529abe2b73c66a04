"""What lets a job run every night: it ends when told to, and goes on after it has died.

`locks` (one run at a time writes an output), `commit` (several files appear together),
`batch_cache` (scores of the batches that a run has finished), `retries` (stores that are away for
a while), `stopping` (SIGTERM and Ctrl-C), `logs` (lines on stderr, heartbeat).

May import `anomdiff.jobs.stores`, `errors` and `exit_codes`, but no job.
"""
