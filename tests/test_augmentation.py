import warnings

import numpy as np
import pandas as pd
import pytest

from anomdiff import TabularDetector
from anomdiff.augmentation import augment
from tests.settings import TINY
from tests.tables import mixed_table


def test_augmenting_balances_the_labels_and_keeps_the_rows():
    table = mixed_table(260, seed=1)
    labels = pd.Series(np.where(np.arange(260) < 60, "rare", "common"), name="label")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame, balanced = augment(table, labels, detector=TabularDetector(**TINY), random_state=0)

    assert balanced.value_counts().to_dict() == {"rare": 200, "common": 200}
    assert balanced.name == "label"
    pd.testing.assert_frame_equal(frame.iloc[:260], table.reset_index(drop=True))
    assert frame.dtypes.to_dict() == table.dtypes.to_dict()


@pytest.mark.parametrize(
    ("labels", "words"),
    [([0, 1], "one label per row"), ([0, 1, 1, 1, 1], "at least 4 rows")],
)
def test_labels_that_cannot_be_balanced_are_refused(labels, words):
    with pytest.raises(ValueError, match=words):
        augment(mixed_table(5, seed=0), labels)
