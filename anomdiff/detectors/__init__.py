"""scikit-learn estimators: the rooms below put together behind ``fit`` and ``score_frame``.

In come frames or arrays, out come frames with the same index. ``base`` tells the whole story of
fitting and scoring once for every kind of data; ``tabular`` and ``timeseries`` add what is
particular; ``fitting`` trains the network. ``row_answers`` and ``series_answers`` are the answers
beside the score: ``reasons``, ``repairs``, ``generation`` for rows; ``window_reasons``,
``window_repairs``, ``window_imputation``, ``window_samples``, ``forecasting`` for series;
``diagnosis`` for both.

Imports scikit-learn, pandas and every room below; knows nothing of files, servers or MLflow.
"""
