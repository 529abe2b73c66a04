import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from anomdiff import TabularDetector


@pytest.mark.filterwarnings("ignore:column")
@parametrize_with_checks([TabularDetector(max_iter=20, width=16, n_blocks=1, batch_size=64)])
def test_the_detector_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)
