"""Frames to arrays and back: the only room that knows what a column is.

schema.py, columns.py  what each column is; row_order (by advancing, blocks, disagreement)
parsing.py             cells as one plain type per kind: number_texts, date_texts, sentinels
written.py             how cells are written as text; cell_types: types that plain ones stand for
casting.py             writes plain cells back in the dtype the column came in
codecs.py              plain cells to coords and back; datetime_codec.py: those of timestamps
quantile_transform.py  z-scores and normal scores of many number columns at once
table.py               TableEncoder; frames.py: tables of other libraries; json_values.py: labels
panel.py, segment.py, times.py  frames of series to segments without a gap in time
channel_scaler.py      scales of the channels of each series, and which are scored
glitches.py            cells of training series that are left out of training

In: DataFrames of any dtypes. Out: ``values`` of about unit variance and ``observed``. May import
numpy, pandas and scipy, never torch.
"""
