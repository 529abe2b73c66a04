"""Frames to arrays and back: the only room that knows what a column is.

schema.py, columns.py  what each column is; row_order (by advancing, blocks, disagreement)
parsing.py             cells as one plain type per kind; spelling: number_texts, factors, date_texts
date_formats.py        the order of day, month and year; date_warnings.py: what is said of it
written.py             how cells are written as text; cell_types: types that plain ones stand for
casting.py             writes plain cells back in the dtype the column came in
codecs.py              plain cells to coords and back: datetime_codec, quantile_transform (ranks)
table.py               TableEncoder; frames.py: tables of other libraries; json_values.py: labels
panel.py, segment.py, times.py  frames of series to segments without a gap in time
channel_scaler.py      scales of channels; expected_values (calendar_features, ridge): what is usual
glitches, sentinels    cells of series left out of training, and what may be missing

In: DataFrames of any dtypes. Out: ``values`` of about unit variance and ``observed``. May import
numpy, pandas and scipy, never torch.
"""
