"""Frames to arrays and back: the only room that knows what a column is.

schema.py, columns.py  what each column is; row_order (by advancing, blocks, disagreement)
parsing.py             cells as one plain type per kind; spelling: number_texts, factors, date_texts
date_formats.py        the order of day, month and year; date_warnings.py: what is said of it
written.py             cells as text; cell_types: what plain ones stand for; casting: back to dtypes
codecs.py              plain cells to coords and back: datetime_codec, quantile_transform (ranks)
table.py               TableEncoder; frames.py: tables of other libraries; json_values.py: labels
panel.py, segment.py   frames of series to segments without a gap; excluded, step_changes: left out
times, usual_steps, repeated_times, index_levels, channel_cells  what panel.py finds in frames
channel_scaler.py      scales of channels; expected_values (wall_clock, calendar_features, ridge)
glitches, sentinels    cells of series left out of training, and what may be missing

In: DataFrames of any dtypes. Out: ``values`` of about unit variance and ``observed``. May import
numpy, pandas and scipy, never torch.
"""
