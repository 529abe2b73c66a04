"""The batch of a night, from its rows to all files that scoring writes.

`input` (batches of a table), `series_groups` (batches that cut no series), `series_status` (what
became of each series), `segment_status` (of each segment of a table), `quarantine` (rows that
cannot be read), `places` (where to write), `files` (what is written), `summary` (of a scored file),
`alarm_causes` (columns that raise too many alarms), `repeated_keys` (rows with the same key),
`record` (what was scored for a date before).

In: settings, a table and a model. Out: files under their temporary names. May import what jobs
may, but no job.
"""
