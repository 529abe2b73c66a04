"""Frames to arrays and back: the only room that knows what a column is.

schema.py              what each column is; checks every later frame against it
parsing.py             reads the cells of one column into one plain type per kind
casting.py             writes them back in the dtype the column came in
codecs.py              one codec per kind of column: plain cells to coords and back
quantile_transform.py  z-scores and normal scores of many number columns at once
table.py               TableEncoder: the codecs of all columns side by side
panel.py, segment.py   frames of series to segments without a gap in time
channel_scaler.py      scales of the channels of each series, and which are scored
glitches.py            cells of training series that are left out of training

In: DataFrames of any dtypes. Out: ``values`` of about unit variance and ``observed``. May import
numpy, pandas and scipy, never torch.
"""
