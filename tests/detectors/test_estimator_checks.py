import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from anomdiff import TabularDetector
from tests.settings import TINY

# The checks fit 300 rows and want alarms among these; so few cannot tell 1 of 100.
SETTINGS = TINY | {"alpha": 0.1, "random_state": None, "batch_size": 64}
SCREENED = "fit_predict finds anomalies among the rows that it fits to; fit takes these as normal"


@pytest.mark.filterwarnings("ignore:column")
@parametrize_with_checks(
    [TabularDetector(**SETTINGS)],
    expected_failed_checks=lambda estimator: {"check_outliers_fit_predict": SCREENED},
)
def test_the_detector_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)
