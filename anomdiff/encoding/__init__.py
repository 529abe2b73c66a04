"""Frames to arrays and back: the only room that knows what a column is.

schema.py, columns.py  what each column is; checks every later frame against it
row_order.py           the order of rows in time, and columns that advance with it
parsing.py             reads cells into one plain type per kind, by number_texts.py, date_texts.py
casting.py             writes them back in the dtype the column came in
codecs.py              one codec per kind of column: plain cells to coords and back
quantile_transform.py  z-scores and normal scores of numbers; sentinels.py: those like -999
table.py               TableEncoder: the codecs of all columns side by side
panel.py, segment.py   frames of series to segments without a gap in time
channel_scaler.py      scales of the channels of each series, and which are scored

In: DataFrames of any dtypes. Out: ``values`` of about unit variance and ``observed``. May import
numpy, pandas and scipy, never torch.
"""
