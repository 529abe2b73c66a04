import pandas as pd
import pytest

from anomdiff.jobs.labels import anomaly_labels, is_normal


@pytest.mark.parametrize(
    "labels",
    [[0, 1], [0.0, float("nan")], ["0 ", "x"], ["0.0", None], [False, True], ["false", "t"]],
)
def test_normal_labels_are_found_whatever_their_type(labels):
    found = is_normal(pd.Series(labels), (0, False))

    assert found.tolist() == [True, False]


def test_a_missing_label_is_not_known():
    labels = pd.Series(["no", None, "yes"])

    assert anomaly_labels(labels, ("no",)).tolist() == [0, -1, 1]
