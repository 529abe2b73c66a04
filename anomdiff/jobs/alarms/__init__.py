"""The alarm table of a scored batch: a line per alarm, with why, and how bad it is.

`rows` (alarms of a table), `incidents` (alarms of series: a line per segment), `continued` (the
same incident night after night), `batch` (p-values of all rows, the most severe alarms, which are
explained, and types of the reasons), `muting` (lines that rules, verdicts or the budget silence).

In: the rows and scored rows of one batch after another. Out: a frame and its Arrow types. May
import what jobs may, but no job.
"""
