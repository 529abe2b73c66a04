import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from anomdiff import SegmentedDetector, TabularDetector, load, save
from anomdiff.models.segmented_model import SegmentedModel
from tests.settings import TINY

MIN_ROWS = 200
ALPHA = 0.05


def shops(n, seed, towns=("Oslo", "Rome", "Bern"), shares=(0.55, 0.4, 0.05)):
    """Sales whose size and price are others in each town; a tenth of the weights are missing."""
    rng = np.random.default_rng(seed)
    town = rng.choice(towns, n, p=shares)
    level = pd.Series(town).map(dict(zip(towns, (0.0, 8.0, -8.0), strict=False))).to_numpy()
    size = rng.normal(level, 1.0)
    price = np.where(town == "Rome", -2.0, 2.0) * size + rng.normal(0, 0.1, n)
    weight = np.where(rng.random(n) < 0.1, np.nan, size + rng.normal(0, 0.5, n))
    kind = rng.choice(["book", "game"], n)
    frame = {"size": size, "town": town, "price": price, "weight": weight, "kind": kind}
    return pd.DataFrame(frame, index=[f"sale-{i}" for i in range(n)])


def make(**parameters):
    return SegmentedDetector(
        **{"by": "town", "min_rows": MIN_ROWS, "alpha": ALPHA, **TINY, **parameters}
    )


@pytest.fixture(scope="module")
def table():
    return shops(900, seed=0)


@pytest.fixture(scope="module")
def detector(table):
    """Do not change it."""
    return make().fit(table)


@pytest.fixture(scope="module")
def batch():
    """New rows, some of unseen and missing towns, in random order."""
    rows = shops(400, seed=1)
    rows.loc[rows.index[::50], "town"] = "Nice"
    rows.loc[rows.index[1::50], "town"] = None
    return rows


def test_values_with_enough_rows_have_models_of_their_own(detector, table):
    counts = table["town"].value_counts()

    assert detector.segments_["rows"].to_dict() == counts.to_dict()
    assert detector.segments_["own"].to_dict() == (counts >= MIN_ROWS).to_dict()
    assert detector.segments_["own"].tolist() == [True, True, False]


def test_a_table_of_one_value_is_that_of_the_plain_detector_without_the_column():
    table, batch = (shops(n, seed=n, towns=("Rome",), shares=(1.0,)) for n in (500, 200))
    plain = TabularDetector(alpha=ALPHA, **TINY).fit(table.drop(columns="town"))

    scored = make().fit(table).score_frame(batch)

    expected = plain.score_frame(batch.drop(columns="town"))
    assert scored["segment"].eq("Rome").all()
    pd.testing.assert_frame_equal(
        scored[["p_value", "is_anomaly"]], expected[["p_value", "is_anomaly"]]
    )
    assert (scored["anomaly_score"].rank() == expected["anomaly_score"].rank()).all()


def test_each_row_has_the_p_value_of_its_own_model(detector, table, batch):
    scored = detector.score_frame(batch)

    for town in ("Oslo", "Rome"):
        rows = table[table["town"] == town].drop(columns="town")
        plain = TabularDetector(alpha=ALPHA, **TINY).fit(rows)
        own = batch[batch["town"] == town].drop(columns="town")
        expected = plain.score_frame(own)
        assert scored.loc[own.index, "p_value"].equals(expected["p_value"])
        assert scored.loc[own.index, "segment"].eq(town).all()


def test_rare_unseen_and_missing_values_are_scored_by_the_shared_model(detector, batch):
    scored = detector.score_frame(batch)

    others = ~batch["town"].isin(["Oslo", "Rome"])
    assert set(batch["town"][others].dropna()) == {"Bern", "Nice"}
    assert batch["town"][others].isna().any()
    assert scored["segment"].isna().equals(others)
    shared = detector.model_.shared
    expected = shared.score_rows(shared.schema.check(batch[others]))
    p_values = detector.model_.scale_of(None).p_values(expected)
    np.testing.assert_allclose(scored.loc[others, "p_value"], p_values)


def test_flags_labels_and_p_values_agree(detector, batch):
    scored = detector.score_frame(batch)

    flags = scored["is_anomaly"].to_numpy()
    assert flags.any()
    np.testing.assert_array_equal(flags, scored["p_value"] <= ALPHA)
    np.testing.assert_array_equal(flags, scored["anomaly_score"] > detector.threshold_)
    np.testing.assert_array_equal(detector.predict(batch), np.where(flags, -1, 1))
    np.testing.assert_array_equal(-detector.score_samples(batch), scored["anomaly_score"])


def test_the_alarm_rate_is_alpha_in_each_segment(detector):
    scored = detector.score_frame(shops(4000, seed=2))

    rates = scored.groupby("segment")["is_anomaly"].mean()
    # Some 80 rows calibrate a segment: the rate of new rows varies by 0.025, see Vovk (2012).
    assert (rates < ALPHA + 4 * 0.025).all()
    assert rates.index.tolist() == ["Oslo", "Rome"]


def test_scores_depend_on_neither_batch_nor_order(detector, batch):
    whole = detector.score_frame(batch)
    shuffled = batch.sample(frac=1.0, random_state=0)
    parts = [detector.score_frame(shuffled.iloc[i : i + 90]) for i in range(0, 400, 90)]

    pd.testing.assert_frame_equal(pd.concat(parts).loc[batch.index], whole, rtol=1e-4)
    assert whole.index.equals(batch.index)


def test_a_row_of_another_population_is_found_in_its_own_only(detector):
    rows = shops(300, seed=3, towns=("Oslo", "Rome"), shares=(0.5, 0.5))
    moved = rows.assign(town=rows["town"].map({"Oslo": "Rome", "Rome": "Oslo"}))

    assert detector.score_frame(rows)["is_anomaly"].mean() < 0.15
    assert detector.score_frame(moved)["is_anomaly"].mean() > 0.95


def test_a_stored_detector_scores_to_the_bit(detector, batch, tmp_path):
    save(detector, tmp_path / "model")

    loaded = load(tmp_path / "model")

    assert isinstance(loaded, SegmentedDetector)
    assert loaded.get_params() == detector.get_params()
    assert loaded.segments_.equals(detector.segments_)
    pd.testing.assert_frame_equal(
        loaded.score_frame(batch), detector.score_frame(batch), check_exact=True
    )
    assert len(list((tmp_path / "model").iterdir())) == 2


def test_contributions_add_up_to_the_score_of_each_row(detector, batch):
    rows = batch.head(60)

    explained = detector.explain(rows)

    sums = explained.groupby("row", sort=False)["contribution"].sum()
    scores = detector.score_frame(rows)["anomaly_score"]
    assert sums.index.equals(rows.index)
    np.testing.assert_allclose(sums, scores, atol=1e-6)
    by_town = explained["column"].eq("town").groupby(explained["row"], sort=False).any()
    assert by_town.equals(~rows["town"].isin(["Oslo", "Rome"]).rename_axis("row"))


def test_repaired_rows_are_normal_and_stay_in_their_segment(detector, batch):
    rows = batch.assign(size=batch["size"] + 40.0).head(20)

    repaired = detector.repair(rows)

    assert detector.score_frame(rows)["is_anomaly"].all()
    assert detector.score_frame(repaired)["is_anomaly"].mean() < 0.2
    pd.testing.assert_series_equal(repaired["town"], rows["town"])
    assert repaired.index.equals(rows.index)
    assert (repaired.dtypes == rows.dtypes).all()


def test_missing_cells_are_filled_in_the_order_of_the_rows(detector, batch):
    rows = batch.head(80)

    filled = detector.impute(rows)
    drawn = detector.impute(rows, n_draws=3, random_state=0)

    assert filled.index.equals(rows.index)
    assert filled["weight"].notna().all()
    seen = rows["weight"].notna()
    assert filled.loc[seen, "weight"].equals(rows.loc[seen, "weight"])
    assert [drawn.xs(i, level="draw").index.equals(rows.index) for i in range(3)] == [True] * 3
    assert drawn["size"].equals(pd.concat([rows["size"]] * 3, keys=range(3), names=["draw", None]))


def test_another_alpha_sets_the_threshold_of_every_segment(table, batch):
    fitted = make().fit(table).set_alpha(0.2)

    scored = fitted.score_frame(batch)

    np.testing.assert_array_equal(scored["is_anomaly"], scored["p_value"] <= 0.2)
    assert fitted.alpha == 0.2


@pytest.mark.slow
def test_screening_flags_at_most_alpha_of_the_rows(table):
    scored = make().screen(table)

    assert scored["is_anomaly"].mean() <= ALPHA
    assert scored["is_anomaly"].any()
    assert set(scored["segment"].dropna()) == {"Oslo", "Rome"}


@pytest.mark.slow
def test_numbers_as_segments_may_be_read_as_numbers_or_text(table, batch):
    codes = {"Oslo": 7, "Rome": 12, "Bern": 30, "Nice": 99}
    numbers = batch.assign(town=batch["town"].map(codes).astype("Int64"))
    fitted = make().fit(table.assign(town=table["town"].map(codes)))

    scored = fitted.score_frame(numbers)

    assert set(scored["segment"].dropna()) == {"7", "12"}
    texts = numbers.assign(town=numbers["town"].astype("string"))
    pd.testing.assert_frame_equal(fitted.score_frame(texts), scored)


def test_a_column_that_is_empty_in_one_segment_is_left_out_there(table, batch):
    empty = table.assign(weight=table["weight"].mask(table["town"] == "Rome"))

    fitted = make().fit(empty)

    assert "weight" not in fitted.model_.own["Rome"].columns
    assert "weight" in fitted.model_.own["Oslo"].columns
    assert fitted.score_frame(batch)["anomaly_score"].notna().all()


def villages(n, seed):
    """Rows of a town that is much quieter than 20 villages with a fifth of the rows."""
    rng = np.random.default_rng(seed)
    names = ["Oslo", *(f"village-{i}" for i in range(20))]
    town = rng.choice(names, n, p=[0.8, *[0.01] * 20])
    return pd.DataFrame({"town": town, "level": rng.normal(0, np.where(town == "Oslo", 0.01, 1.0))})


def test_rare_values_have_the_alarm_rate_alpha_together():
    fitted = make(min_rows=400).fit(villages(3000, seed=0))

    scored = fitted.score_frame(villages(4000, seed=1))

    assert list(fitted.model_.own) == ["Oslo"]
    n = len(fitted.model_.shared.calibration_scores)
    assert 60 < n < 240  # a fifth of some 600
    rate = scored.loc[scored["segment"].isna(), "is_anomaly"].mean()
    # The spread of the calibration and that of 800 new rows.
    assert rate < ALPHA + 4 * (ALPHA * (1 / n + 1 / 800)) ** 0.5


def test_too_few_rare_rows_to_calibrate_the_shared_model_are_warned_of(table):
    with pytest.warns(
        UserWarning, match=r"need 19 held-out rows of rare values .* 'town' there are \d+"
    ):
        make().fit(table)


@pytest.mark.slow
@pytest.mark.parametrize("label", [0, ("shop", "town"), "the town"])
def test_the_column_may_have_any_label(table, batch, label, tmp_path):
    rows, named = (part.rename(columns={"town": label}) for part in (batch, table))
    fitted = make(by=label).fit(named)

    loaded = load(save(fitted, tmp_path / "model"))

    assert loaded.by == label
    pd.testing.assert_frame_equal(loaded.score_frame(rows), fitted.score_frame(rows))
    assert set(fitted.explain(rows.head(5))["column"]) >= {"size", "price"}


@pytest.mark.slow
def test_a_warm_start_trains_on_from_the_network_of_each_segment(table):
    fitted = make(warm_start=True).fit(table)
    before = {name: model.denoiser for name, model in fitted.model_.own.items()}
    cold = make().fit(table)

    fitted.fit(table)

    assert before.keys() == fitted.model_.own.keys()
    for name, model in fitted.model_.own.items():
        steps = model.history["step"].max()
        assert steps < cold.model_.own[name].history["step"].max()


@pytest.mark.parametrize(
    "damage", [{"by": "size"}, {"by": "colour"}, {"values": ["a", "b", "c"]}, {"own": [["x", 1]]}]
)
def test_a_stored_model_whose_parts_do_not_fit_is_refused(detector, damage):
    state = {**detector.model_.to_dict(), **damage}

    with pytest.raises((ValueError, TypeError)):
        SegmentedModel.from_dict(state)


def test_it_is_cloned_and_asks_before_training(table):
    detector = clone(make(alpha=0.1))

    assert (detector.by, detector.min_rows, detector.alpha) == ("town", MIN_ROWS, 0.1)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"by": None}, "need the column `by`"),
        ({"by": "city"}, r"need the column 'city' of `by`; the table has \['size'"),
        ({"kinds": {"town": "number"}}, "'town' of `by` as a category; got 'number'"),
        ({"min_rows": 49}, "need min_rows of at least 50, 2.5 / alpha"),
        ({"alpha": 2.0}, "alpha must be"),
    ],
)
def test_a_wrong_parameter_is_one_sentence(table, parameters, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(**parameters).fit(table)


def test_what_segments_do_not_do_is_one_sentence(detector, batch):
    with pytest.raises(ValueError, match="by segments is not updated; got 400 rows"):
        detector.update(batch)
    with pytest.raises(ValueError, match="by segments is not recalibrated; got 400 rows"):
        detector.recalibrate(batch)
    with pytest.raises(ValueError, match="need no calibration rows"):
        detector.discoveries(batch, calibration=batch)


def test_too_small_an_alpha_for_the_rows_is_warned_of(table):
    fitted = make().fit(table)

    with pytest.warns(UserWarning, match=r"needs at least 999 held-out rows of each segment"):
        fitted.set_alpha(0.001)
