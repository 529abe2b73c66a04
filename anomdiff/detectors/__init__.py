"""scikit-learn estimators: the rooms below put together behind ``fit`` and ``score_frame``.

In come frames or arrays, out come frames with the same index. ``base`` tells the whole story of
fitting and scoring once for every kind of data; ``tabular`` adds what is particular to tables;
``fitting`` trains the network, ``progress`` shows it, ``parallel`` scores blocks side by side.

Imports scikit-learn, pandas and every room below; knows nothing of files, servers or MLflow.
"""
