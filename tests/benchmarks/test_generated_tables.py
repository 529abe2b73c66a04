import re

import numpy as np
import pandas as pd
import pytest

from anomdiff.metrics.detection import average_precision
from benchmarks.common.comparison import Split
from benchmarks.tables.__main__ import main
from benchmarks.tables.generated import GENERATED, RECIPES, SPLITS, generate
from benchmarks.tables.generated_payments import (
    DELAY,
    N_DAYS,
    WARM_UP,
    features,
    payments,
    simulate,
    windowed,
)
from benchmarks.tables.labelled import Table
from benchmarks.tables.reading import find_sets


def frame_of(data):
    return data.test if isinstance(data, Split) else data.rows


def numbers(table):
    """Numbers of the anomalies and of the normal rows."""
    rows = table.rows.select_dtypes("number")
    return rows[table.anomalous], rows[~table.anomalous]


def outside(table):
    """How many columns of each anomaly are beyond the range of the normal rows."""
    anomalies, normal = numbers(table)
    return ((anomalies > normal.max()) | (anomalies < normal.min())).sum(axis=1)


@pytest.mark.parametrize("name", GENERATED)
def test_a_table_depends_on_its_seed_only(name):
    first, again, other = (generate(name, seed) for seed in (0, 0, 1))

    pd.testing.assert_frame_equal(frame_of(first), frame_of(again))
    np.testing.assert_array_equal(first.anomalous, again.anomalous)
    assert not frame_of(first).equals(frame_of(other))


@pytest.mark.parametrize("name", RECIPES)
def test_a_table_has_the_size_and_the_share_of_anomalies_that_it_says(name):
    recipe = RECIPES[name]

    table = generate(name)

    assert isinstance(table, Table)
    assert len(table.rows) == len(table.anomalous) == recipe.n_rows
    assert table.anomalous.sum() == round(recipe.share * recipe.n_rows)
    assert 4 <= table.rows.shape[1] <= 40
    assert 0.01 <= recipe.share <= 0.05


@pytest.mark.parametrize("name", RECIPES)
def test_anomalies_are_written_as_normal_rows_are(name):
    recipe, table = RECIPES[name], generate(name)
    anomalies, normal = numbers(table)

    decimals = [
        column
        for column in normal
        if (normal[column].round(2) == normal[column]).all()
        and (anomalies[column].round(2) != anomalies[column]).any()
    ]

    assert not decimals
    assert not table.rows.isna().any(axis=None)
    made = recipe.make(100, np.random.default_rng(0))
    pd.testing.assert_series_equal(made.dtypes, table.rows.dtypes)


@pytest.mark.parametrize(
    ("name", "n_columns"), [("amounts_one_column", 1), ("wide_two_columns", 2)]
)
@pytest.mark.parametrize("seed", range(3))
def test_far_out_is_beyond_the_normal_range_in_as_many_columns(name, n_columns, seed):
    table = generate(name, seed)

    assert (outside(table) == n_columns).all()


@pytest.mark.parametrize("name", ["customers_wrong_amount", "shares_rare", "claims_wrong_category"])
def test_what_is_wrong_only_beside_other_columns_is_in_the_normal_range(name):
    table = generate(name)

    assert (outside(table) == 0).all()


def test_threefold_payments_still_fit_each_other():
    table = generate("customers_threefold")

    anomalies = table.rows[table.anomalous]

    assert (anomalies["n_payments_1d"] <= anomalies["n_payments_7d"]).all()
    assert (anomalies["n_payments_7d"] <= anomalies["n_payments_30d"]).all()
    mean = anomalies["sum_30d"] / anomalies["n_payments_30d"]
    np.testing.assert_allclose(mean, anomalies["mean_amount_30d"], rtol=0.25)


def test_a_rare_share_comes_with_a_large_amount():
    table = generate("shares_rare")
    rare = [f"share_{i}" for i in range(6, 10)]
    anomalies, normal = numbers(table)

    assert (anomalies[rare] > 0).any(axis=1).all()
    assert (anomalies["amount"] > normal["amount"].quantile(0.79)).all()
    assert (normal[rare] == 0).mean().min() > 0.8


@pytest.mark.parametrize("name", ["sensors_shifted", "sensors_stuck", "amounts_one_column"])
def test_one_column_of_a_row_is_changed(name):
    rng = np.random.default_rng(0)
    rows = RECIPES[name].make(300, rng)

    changed = RECIPES[name].spoil(rows[:50], rows[50:], rng) != rows[:50]

    assert (changed.sum(axis=1) == 1).all()


def test_few_stuck_sensors_read_one_value_each():
    table = generate("sensors_stuck")
    anomalies, normal = numbers(table)

    often = {name: anomalies[name].mode().iloc[0] for name in anomalies}
    stuck = {name: value for name, value in often.items() if (anomalies[name] == value).sum() > 5}

    assert 1 <= len(stuck) <= 3
    assert all((normal[name] == value).sum() <= 1 for name, value in stuck.items())


def test_the_cluster_is_where_few_normal_rows_are():
    table = generate("terminals_compromised")
    anomalies, normal = numbers(table)

    near = (normal["risk_1d"] > 0.1) & (normal["risk_7d"] > 0.15)

    assert ((anomalies["risk_1d"] > 0.1) & (anomalies["risk_7d"] > 0.15)).all()
    assert near.mean() < 0.02


def test_dependence_finds_what_is_wrong_beside_other_columns():
    rows, anomalous = generate("claims_wrong_category")
    logarithm = np.log(rows["amount"])

    usual = logarithm.groupby(rows["category"]).transform("median")

    assert average_precision(anomalous, (logarithm - usual).abs().to_numpy()) > 0.8


@pytest.mark.parametrize("delay", [0, 1.5])
def test_windows_are_those_of_a_naive_loop(delay):
    rng = np.random.default_rng(0)
    group, time, values = rng.integers(0, 5, 80), rng.uniform(0, 9, 80), rng.normal(size=80)

    count, total = windowed(group, time, values, days=2, delay=delay)

    for i in range(80):
        age = time[i] - delay - time
        window = (group == group[i]) & (age >= 0) & (age < 2)
        assert count[i] == window.sum()
        assert total[i] == pytest.approx(values[window].sum())


def test_features_of_a_payment_depend_on_no_later_one():
    rows = simulate(np.random.default_rng(0), 20, 10, compromised=0.1, stolen=0.1)
    before = rows["time"] < 30

    pd.testing.assert_frame_equal(features(rows)[before], features(rows[before]))


def test_fraud_counts_a_week_late():
    rows = simulate(np.random.default_rng(0), 20, 10, compromised=0.2)
    last = rows["time"] > N_DAYS - DELAY

    unseen = features(rows.assign(is_fraud=rows["is_fraud"] & ~last))

    assert rows["is_fraud"][last].any()
    pd.testing.assert_frame_equal(unseen, features(rows))


def test_payments_train_on_a_genuine_week_and_test_a_later_one():
    rng = np.random.default_rng(0)
    rows = simulate(rng, 50, 30, stolen=0.1)
    day = rows["time"]
    train = rows[(day >= WARM_UP) & (day < WARM_UP + 7) & ~rows["is_fraud"]]

    split = payments(np.random.default_rng(0), 50, 30, stolen=0.1)

    np.testing.assert_array_equal(split.train["amount"], train["amount"])
    np.testing.assert_array_equal(split.test["amount"], rows["amount"][day >= WARM_UP + 14])
    np.testing.assert_array_equal(split.anomalous, rows["is_fraud"][day >= WARM_UP + 14])


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("seed", range(3))
def test_one_to_five_per_cent_of_the_tested_payments_are_fraud(name, seed):
    split = generate(name, seed)

    assert split.train.shape[1] == split.test.shape[1] == 15
    assert len(split.train) + len(split.test) <= 12_000
    assert 0.01 <= split.anomalous.mean() <= 0.05


@pytest.mark.parametrize("seed", range(3))
def test_a_stolen_card_pays_more_than_its_customer(seed):
    split = generate("payments_stolen", seed)

    ratio = split.test["amount"] / split.test["customer_mean_30d"]

    assert average_precision(split.anomalous, ratio.to_numpy()) > 0.5


def test_a_compromised_terminal_soon_has_known_fraud():
    split = payments(np.random.default_rng(0), 100, 60, compromised=0.03)
    risk = split.test["terminal_risk_1d"]

    assert risk[split.anomalous].mean() > 5 * risk[~split.anomalous].mean()


def test_the_suite_needs_no_folder(tmp_path, capsys):
    command = ["--suite", "generated", "--methods", "knn1", "--processes", "1", "--seeds", "2"]
    command += ["--sets", "nights_small,payments_stolen", "--out", str(tmp_path / "out.csv")]

    code = main(command)

    results = pd.read_csv(tmp_path / "out.csv")
    assert code == 0
    assert [each.name for each in find_sets("generated")] == [*GENERATED]
    assert sorted(zip(results["set"], results["protocol"], results["seed"], strict=True)) == [
        ("nights_small", "shuffled", 0),
        ("nights_small", "shuffled", 1),
        ("payments_stolen", "fixed", 0),  # so many rows need no second seed
    ]
    assert re.search(r"knn1 AUROC \S+ AP \S+ \| sets 2$", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--suite", "adbench"], "need --data for adbench; got none."),
        (["--suite", "generated", "--sets", "nowhere"], "need sets that are in the suite"),
        (
            ["--suite", "generated", "--protocol", "contaminated"],
            "need no --protocol for payments, which comes split; got contaminated.",
        ),
    ],
)
def test_what_a_suite_needs_is_said(more, reason, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([*more, "--out", str(tmp_path / "out.csv")])

    assert reason in capsys.readouterr().err
