"""Frames to arrays and back: the only room that knows what a column of a table is.

In: a pandas DataFrame of any dtypes. Out: ``values`` (float64, about unit variance) and
``observed`` (bool), both of shape (row, coord), and frames decoded from such values.

schema.py   what each column is; checks every later frame against it
cells.py    reads the cells of one column into one plain type per kind
restore.py  writes them back in the dtype the column came in
codecs.py   one codec per kind of column: plain cells to coords and back
ranked_numbers.py   z-scores and normal scores of many number columns at once
table.py    TableEncoder: the codecs of all columns side by side

May import numpy and pandas (pyarrow for its text dtypes), never torch. It is separate because
all above works on unit-variance arrays and need not know about text, dates or missing cells.
"""
