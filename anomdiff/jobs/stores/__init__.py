"""Where tables lie: local files, object stores and databases.

`locations` (an address such as `s3://bucket/day=1/part.parquet`, with what a job needs of a path),
`patterns` (globs in stores that have none), `filesystems` (the client of each kind of store, set up
from the environment), `databases` (a table or a query to read, a table to write, and what can go
wrong on the way), `upsert` (a parquet file into a table of a database, in one transaction),
`secrets` (what may be printed). Nothing here knows how a table is written, nor a model.
"""
