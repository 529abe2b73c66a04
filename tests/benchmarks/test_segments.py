import numpy as np

from benchmarks.tables.segments import FREQUENT, RARE, SHARES, payments_of_countries


def test_shares_of_countries_add_up():
    assert sum(SHARES.values()) == 1.0


def test_without_anomalies_the_fee_is_the_rate_of_the_country_up_to_its_spread():
    rows, odd = payments_of_countries(5000, seed=0, anomalies=0.0)

    assert not odd.any()
    assert set(rows["country"]) == {*FREQUENT, *RARE}
    spread = np.log(rows["fee"] / rows["amount"]).groupby(rows["country"]).std()
    assert (spread < 0.07).all()


def test_an_anomaly_is_a_row_whose_source_differs():
    normal, _ = payments_of_countries(5000, seed=0, anomalies=0.0)
    rows, odd = payments_of_countries(5000, seed=0, anomalies=1.0)

    # Cells of one's own country are no anomalies: those of 0.75 of the rows, at most 0.34 each.
    assert 0.6 < odd.mean() < 1.0
    assert normal["country"].equals(rows["country"])
