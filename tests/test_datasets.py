import numpy as np
import pandas as pd
import pytest

from anomdiff.datasets import (
    CONTACTLESS_LIMIT,
    COUNTRIES,
    FRAUDS,
    MERCHANTS,
    medical,
    payments,
)


@pytest.fixture(scope="module")
def normal():
    return payments(5000, seed=7)[0]


@pytest.fixture(scope="module")
def with_fraud():
    return payments(5000, fraud_rate=0.04, seed=7)


def test_the_same_seed_gives_the_same_rows(with_fraud):
    frame, truth = payments(5000, fraud_rate=0.04, seed=7)

    pd.testing.assert_frame_equal(frame, with_fraud[0])
    pd.testing.assert_frame_equal(truth, with_fraud[1])


def test_fraud_changes_the_cells_that_the_truth_names_and_no_other(normal, with_fraud):
    frame, truth = with_fraud
    same = [frame[c].astype(object).eq(normal[c].astype(object)) | frame[c].isna() for c in frame]

    differing = pd.DataFrame(same, index=frame.columns).T.rsub(1).astype(bool)

    for row, columns in truth["columns"].items():
        assert set(differing.columns[differing.loc[row]]) == set(filter(None, columns.split(";")))


def test_every_kind_of_fraud_is_planted_equally_often(with_fraud):
    truth = with_fraud[1]

    counts = truth.loc[truth["is_fraud"], "kind"].value_counts()

    assert counts.sum() == 200
    assert set(counts.index) == set(FRAUDS)
    assert counts.max() - counts.min() <= 1
    assert (truth["kind"].ne("") == truth["is_fraud"]).all()


def test_normal_payments_keep_their_rules(normal):
    online = normal["channel"] == "online"
    cash = normal["channel"] == "atm"
    contactless = normal["channel"] == "contactless"
    currencies = {name: currency for name, (currency, _, _) in COUNTRIES.items()}

    assert (normal["card_present"] == ~online).all()
    assert (normal["device"].notna() == online).all()
    assert (normal["device_age_days"].notna() == online).all()
    assert (normal["currency"].astype(str) == normal["country"].map(currencies).astype(str)).all()
    assert (normal.loc[contactless, "amount"] <= CONTACTLESS_LIMIT).all()
    assert (normal.loc[cash, "amount"] % 10 == 0).all()
    assert (normal["account_age_days"] <= 365 * (normal["customer_age"] - 17)).all()
    assert normal["timestamp"].is_monotonic_increasing


def test_amounts_are_log_normal_around_category_and_tier(normal):
    platinum = normal[(normal["card_tier"] == "platinum") & (normal["channel"] == "online")]

    for name, (_, typical, _, _) in MERCHANTS.items():
        amounts = platinum.loc[platinum["merchant_category"] == name, "amount"]
        if len(amounts) > 30:
            assert amounts.median() == pytest.approx(2.8 * typical, rel=0.5)


def test_amounts_out_of_pattern_are_usual_elsewhere(normal, with_fraud):
    frame, truth = with_fraud

    amounts = frame.loc[truth["kind"] == "amount_out_of_pattern", "amount"]

    assert (amounts < normal["amount"].max()).all()


@pytest.mark.parametrize("n_rows", [1, 2, 50])
def test_small_tables_can_be_made(n_rows):
    frame, truth = payments(n_rows, seed=0)

    assert len(frame) == len(truth) == n_rows
    assert not truth["is_fraud"].any()


def test_the_days_asked_for_are_covered():
    frame, _ = payments(2000, seed=0, start="2025-03-01", days=3)

    days = frame["timestamp"].dt.strftime("%Y-%m-%d").unique().tolist()

    assert days == ["2025-03-01", "2025-03-02", "2025-03-03"]


def test_bad_sizes_are_told():
    with pytest.raises(ValueError, match=r"fraud_rate from 0 to 0.2; got .*fraud_rate=0.5"):
        payments(10, fraud_rate=0.5, seed=0)
    with pytest.raises(ValueError, match="need more than 5 rows to plant"):
        payments(5, fraud_rate=0.2, seed=5)  # no online payment among them


def test_malignant_tumours_are_the_anomalies():
    frame, labels = medical()

    assert frame.shape == (569, 30)
    assert labels.sum() == 212
    assert np.isfinite(frame.to_numpy()).all()
