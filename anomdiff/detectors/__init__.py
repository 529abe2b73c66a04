"""scikit-learn estimators: they validate and lay out frames; the fitted model does the rest.

base.py             what every detector does with scores; recalibration.py: thresholds, diagnosis
tabular.py          TabularDetector; row_answers.py: its explain, repair, impute, sample
by_segment.py       SegmentedDetector, a model per value; segment_answers.py: its explain and so on
timeseries.py       TimeSeriesDetector; series_answers.py: its explain, forecast, impute, ...;
                    series_alarms.py: its segments and their kinds, fleet, budget of alarms
series_streams.py   its steps as they come; stream.py: of many series, series_stream.py: of one
input_frames.py     the door: rows of any kind as a pandas frame
overview.py         alarms with reasons, figures against known anomalies, summary in a notebook
diagnostics.py      what may be wrong with a fitted model
covariate_shift.py  how much more often a row occurs in one frame than in another

In: frames or arrays. Out: frames with the same index. May import scikit-learn and the rooms below.
"""
