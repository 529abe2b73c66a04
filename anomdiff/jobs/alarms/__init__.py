"""The alarm table of a scored batch: a line per alarm, with why, and how bad it is.

`rows` (alarms of a table), `incidents` (alarms of series: a line per segment), `continued` (the
same incident night after night), `reasons` (columns and a sentence that say why), `batch`
(p-values of all rows, and the most severe alarms, which are explained), `muting` (lines that rules,
verdicts or the budget silence).

In: the rows and scored rows of one batch after another. Out: a frame and its Arrow types. May
import what jobs may, but no job.
"""
