"""Frames to arrays and back: the only room that knows what a column is.

schema.py, parsing.py     what each column is; its cells as one plain type per kind
written.py, cell_types.py how cells are written as text; types that plain ones stand for
casting.py                writes plain cells back in the dtype the column came in
codecs.py                 one codec per kind of column: plain cells to coords and back
quantile_transform.py     z-scores and normal scores of many number columns at once
table.py                  TableEncoder: the codecs of all columns side by side
panel.py, segment.py, times.py  frames of series to segments without a gap in time
channel_scaler.py         scales of the channels of each series, and which are scored
frames.py, json_values.py tables of other libraries as frames; labels as JSON values

In: DataFrames of any dtypes. Out: ``values`` of about unit variance and ``observed``. May import
numpy, pandas and scipy, never torch.
"""
