"""Drift: a batch of rows is compared with a profile of the training rows.

`drift`: profile of training, drift of columns, and sentences on what is too much; `scores`: drift
of scores and alarms; `classifier_test`: drift of all columns together; `precision`: how many
alarms are true, without labels; `values`: which values a column of text showed; `stability`: the
population stability index.
In: frames and numbers; out: frames, JSON values and sentences. Imports numpy, pandas,
scipy and scikit-learn, and no other room.
"""
