"""Tables in files and databases: found, opened, and read whole or in batches of bounded memory.

Of the files: `options` (what a user can say about them), `files` (suffixes, folders, globs,
partitions, gz and zip). Of text: `encodings`, `cells` (what a cell looks like), `samples` (first
lines), `drawings` (of psql, mysql, Markdown), `quotes`, `separators` (with the decimal mark),
`layout` (lines above the rows, header, names), `comments` (among the rows), `footers` (lines below
them), `lines` (without what is no row), `text_format` (all of it for one file), `field_check` and
`broken_lines` (lines that have not the fields of a row), `text_files` (reading it), `numbers`
(spelling and infinity). Other kinds:
`json_lines` with `json_values`, `workbooks` (Excel), `arrow_types` (one schema for many parts),
`parquet_files`, `sql_table` (databases). `parts` puts files of a table together. The door is
`anomdiff.jobs.readers`; nothing here knows a model.
"""
