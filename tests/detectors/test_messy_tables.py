"""Tables as people have them: spellings, unreadable cells, columns that advance, missing cells."""

import warnings

import numpy as np
import pandas as pd
import pytest

from anomdiff import TabularDetector, load, save
from anomdiff.encoding.schema import Schema
from benchmarks.tables.later_rows import ADVANCING, DRIFTING, planted, stationary
from tests.settings import TINY

N_TRAIN = 600


def clean():
    """Amounts of two decimals, a share, a count and a day, all in random order."""
    rng = np.random.default_rng(5)
    n = 900
    return pd.DataFrame(
        {
            "amount": rng.lognormal(6, 1.5, n).round(2),
            "share": rng.uniform(0, 100, n).round(1),
            "pieces": rng.integers(1, 2000, n),
            "day": pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"),
        }
    )


def grouped(numbers, decimals, mark, group):
    texts = [f"{number:,.{decimals}f}" for number in numbers]
    return [t.replace(",", "_").replace(".", mark).replace("_", group) for t in texts]


SPELLINGS = {
    "decimal comma": lambda f: f.assign(
        amount=grouped(f["amount"], 2, ",", ""), share=grouped(f["share"], 1, ",", "")
    ),
    "thousands and currency": lambda f: f.assign(
        amount=["$" + text for text in grouped(f["amount"], 2, ".", ",")],
        pieces=grouped(f["pieces"], 0, ".", ","),
    ),
    "points for thousands": lambda f: f.assign(
        amount=grouped(f["amount"], 2, ",", "."), share=grouped(f["share"], 1, ",", ".")
    ),
    "per cent and a unit": lambda f: f.assign(
        share=[f"{share} %" for share in f["share"]], pieces=[f"{n} pcs" for n in f["pieces"]]
    ),
    "day first": lambda f: f.assign(day=f["day"].dt.strftime("%d/%m/%Y")),
    "month names and spaces": lambda f: f.assign(
        day=f["day"].dt.strftime("%d %b %Y"),
        amount=[f" {text} \u20ac " for text in grouped(f["amount"], 2, ",", "\u00a0")],
    ),
}


def fitted(frame, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TabularDetector(**TINY, **options).fit(frame)


@pytest.fixture(scope="module")
def clean_scores():
    frame = clean()
    return fitted(frame[:N_TRAIN]).score_frame(frame[N_TRAIN:])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_messy_table_scores_as_the_clean_one(spelling, clean_scores):
    frame = SPELLINGS[spelling](clean())
    detector = fitted(frame[:N_TRAIN])

    scored = detector.score_frame(frame[N_TRAIN:])

    np.testing.assert_allclose(
        scored["anomaly_score"], clean_scores["anomaly_score"], rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("spelling", ["points for thousands", "month names and spaces"])
def test_rows_of_a_messy_table_score_alone_as_among_others_and_after_storage(spelling, tmp_path):
    frame = SPELLINGS[spelling](clean())
    detector = fitted(frame[:N_TRAIN])
    together = detector.score_frame(frame[N_TRAIN : N_TRAIN + 20])["anomaly_score"]

    save(detector, tmp_path / "model")
    again = load(tmp_path / "model")

    alone = [again.score_frame(frame[i : i + 1])["anomaly_score"].iloc[0] for i in together.index]
    np.testing.assert_allclose(alone, together, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("spelling", ["points for thousands", "month names and spaces"])
def test_answers_about_a_messy_table_are_spelled_as_it_is(spelling):
    frame = SPELLINGS[spelling](clean())
    detector = fitted(frame[:N_TRAIN])
    few = frame[N_TRAIN : N_TRAIN + 8]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = detector.sample(20)
        filled = detector.impute(few.assign(amount=None))
        explained = detector.explain(few)

    assert drawn["amount"].str.fullmatch(r"\d+(,\d+)?").all()
    for made in (drawn, filled):
        assert detector.score_frame(made)["anomaly_score"].notna().all()
        again = detector.schema_.check(made)["amount"]
        assert again.between(*clean()["amount"].agg(["min", "max"])).all()
    assert np.isfinite(explained["contribution"]).all()


@pytest.mark.parametrize(
    "marker", ["#DIV/0!", "\\N", "--", "n.a.", "(null)", "#N/A", "\u2014", "NA", " . "]
)
def test_usual_markers_of_missing_cells_are_missing_however_many(marker):
    frame = clean()
    broken = frame.astype({"amount": str})
    broken.loc[::4, "amount"] = marker

    schema = Schema.infer(broken)

    assert schema.columns[0].kind == "number"
    assert schema.check(broken)["amount"].isna().sum() == 225


def test_a_column_of_which_most_cells_are_numbers_is_told():
    broken = clean().astype({"amount": str})
    broken.loc[::5, "amount"] = "ERR"

    with pytest.warns(UserWarning, match=r"'amount' is read as texts, because 20.0%.*'ERR'"):
        assert Schema.infer(broken).columns[0].kind != "number"


@pytest.mark.parametrize("bad", ["ERR", "OVERFLOW", "n/k", "1;5"])
def test_one_unreadable_cell_is_a_missing_cell_and_told(bad):
    frame = clean()
    broken = frame.astype({"amount": str})
    broken.loc[[17, 700], "amount"] = bad

    with pytest.warns(UserWarning, match="cells of column 'amount' are no numbers"):
        schema = Schema.infer(broken[:N_TRAIN])
    with pytest.warns(UserWarning, match=r"such as .* first in row 700"):
        read = schema.check(broken[N_TRAIN:])["amount"]

    assert schema.columns[0].kind == "number"
    assert read.isna().sum() == 1
    assert read.drop(700).equals(frame["amount"][N_TRAIN:].drop(700))


def test_too_many_unreadable_cells_are_an_error_that_says_what_to_set():
    frame = clean()
    detector = fitted(frame[:N_TRAIN])
    broken = frame[N_TRAIN:].astype({"amount": str})
    broken.iloc[:30, 0] = "ERR"

    with pytest.raises(ValueError, match="'amount'.*'ERR'.*29 more of 300.*missing_values"):
        detector.score_frame(broken)

    lenient = fitted(frame[:N_TRAIN], max_unreadable=0.2)
    with pytest.warns(UserWarning, match="30 of 300 cells"):
        lenient.score_frame(broken)


@pytest.mark.parametrize("cells", [["inf", "1.5"], [np.inf, 1.5], [-np.inf, 1.5]])
def test_infinite_cells_count_as_missing(cells):
    frame = clean()
    broken = frame.astype({"amount": object})
    broken.iloc[3, 0] = cells[0]

    with pytest.warns(UserWarning, match="1 of 900 cells of column 'amount'"):
        schema = Schema.infer(broken)

    assert schema.columns[0].kind == "number"
    assert schema.columns[0].nullable


@pytest.mark.parametrize("given", [-200, (-200,), {"amount": (-200, "x")}, {"amount": -200}])
def test_missing_values_are_missing_in_numbers_and_texts(given):
    frame = clean()
    frame.loc[::10, "amount"] = -200

    for cells in (frame["amount"], frame["amount"].astype(str), frame["amount"].astype("Float64")):
        schema = Schema.infer(frame.assign(amount=cells), missing_values=given)
        read = schema.check(frame.assign(amount=cells))["amount"]
        assert read[::10].isna().all()
        assert read.isna().sum() == 90


def test_a_sentinel_is_suggested_and_flags_and_amounts_are_not():
    frame = clean().assign(flag=np.tile([0, 1], 450))
    frame.loc[::10, "share"] = -999

    with pytest.warns(UserWarning, match=r"missing_values=\{'share': \[-999\]\}"):
        Schema.infer(frame)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Schema.infer(
            clean().assign(flag=np.tile([0, 1], 450), zero=np.maximum(0, clean()["share"] - 90))
        )
    assert not [w for w in caught if "missing_values" in str(w.message)]


def test_codes_padded_with_zeros_are_categories_unless_kinds_says_number():
    codes = [f"{k * 7 % 97:05d}" for k in range(900)]
    frame = clean().assign(code=codes)

    with pytest.warns(UserWarning, match=r"'code' .* read as codes; kinds=\{'code': 'number'\}"):
        schema = Schema.infer(frame)
    as_numbers = Schema.infer(frame, kinds={"code": "number"})

    assert schema.check(frame)["code"].tolist() == codes
    assert as_numbers.check(frame)["code"].tolist() == [float(code) for code in codes]


def test_padded_digits_that_hardly_repeat_are_numbers_and_that_is_told():
    amounts = np.random.default_rng(0).integers(0, 10**6, 900)
    frame = clean().assign(amount=[f"{amount:08d}" for amount in amounts])

    with pytest.warns(UserWarning, match=r"without their zeros; kinds=\{'amount': 'category'\}"):
        read = Schema.infer(frame).check(frame)

    np.testing.assert_array_equal(read["amount"], amounts)


@pytest.mark.parametrize("kind", ADVANCING)
def test_later_rows_are_no_alarms_because_a_column_advances_and_odd_ones_still_are(kind):
    frame = stationary(3000)
    frame["when"] = ADVANCING[kind](frame)
    later = frame[2000:]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        detector = TabularDetector(**TINY).fit(frame[:2000])

    flagged = detector.score_frame(pd.concat([later, planted(later)]))["is_anomaly"]

    assert flagged[:1000].mean() < 0.03
    assert flagged[1000:].mean() > 0.5
    told = [str(warning.message) for warning in caught if "'when'" in str(warning.message)]
    assert len(told) == 1


def test_a_file_sorted_by_what_may_be_time_is_told_once_unless_a_kind_is_named():
    frame = stationary(1000).assign(visits=np.sort(np.random.default_rng(0).poisson(3, 1000)))

    with pytest.warns(UserWarning, match=r"sorted or grouped by columns \['visits'\]: ") as told:
        Schema.infer(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Schema.infer(frame, kinds={"visits": "number"})
        Schema.infer(frame, kinds={"visits": "ignored"})
        Schema.infer(frame.sample(frac=1, random_state=0))

    assert len(told) == 1


def test_where_all_columns_advance_they_are_used_as_they_are():
    with pytest.warns(UserWarning, match=r"\['t'\] advance .* there are no others"):
        detector = TabularDetector(**TINY).fit(pd.DataFrame({"t": np.arange(100) / 7}))

    assert detector.columns_ == ["t"]


def test_where_columns_drift_the_last_rows_calibrate():
    frame = DRIFTING["drifting means"](0)[::6]
    past, later = frame[:1500], frame[1500:].drop(columns="when")
    with pytest.warns(UserWarning, match="differs from the rows before in columns"):
        drifting = TabularDetector(**TINY).fit(past)
    shuffled = fitted(past.drop(columns="when").sample(frac=1, random_state=0))

    assert drifting.n_validation_rows_ == 300
    dated = later.assign(when=frame["when"][1500:])
    assert drifting.score_frame(dated)["is_anomaly"].mean() < 0.05
    by_chance = shuffled.score_frame(later)["is_anomaly"].mean()
    assert drifting.score_frame(dated)["is_anomaly"].mean() < by_chance


def test_kinds_keep_an_advancing_column_as_it_is():
    frame = stationary(1000).assign(id=np.arange(1000), when=pd.date_range("2025", periods=1000))

    detector = fitted(frame, kinds={"id": "number", "when": "datetime"})

    assert {"id", "when"} <= set(detector.columns_)
    assert "when trend" in detector.model_.encoder.features


def test_samples_and_fillings_of_advancing_dates_are_dates_of_training():
    frame = stationary(1000).assign(when=pd.date_range("2025", periods=1000, freq="3h"))
    detector = fitted(frame)

    drawn = detector.sample(50)["when"]
    holes = frame.tail(5).assign(when=pd.NaT)
    filled = detector.impute(holes)["when"]

    for dates in (drawn, filled):
        assert dates.notna().all()
        assert dates.between(frame["when"].min(), frame["when"].max()).all()
        assert (dates.dt.minute == 0).all()


def test_cells_missing_where_training_had_none_are_unusual_and_nothing_at_all_is_more_so():
    frame = stationary(1500)
    detector = fitted(frame[:1000])
    row = frame.tail(1).astype({"kind": object})

    ones = [
        detector.score_frame(row.assign(**{c: None}).astype({c: float} if c != "kind" else {}))
        for c in frame
    ]
    nothing = detector.score_frame(row.assign(x=np.nan, amount=np.nan, y=np.nan, kind=None))

    usual = detector.score_frame(row)["anomaly_score"].iloc[0]
    for one in ones:
        assert one["anomaly_score"].iloc[0] > usual
        assert one["p_value"].iloc[0] < 0.2
    assert nothing["p_value"].iloc[0] <= min(one["p_value"].iloc[0] for one in ones)


def test_gaps_as_in_training_raise_no_alarms():
    rng = np.random.default_rng(0)
    frame = stationary(3000)
    frame.loc[rng.random(3000) < 0.3, ["x", "y"]] = np.nan
    frame.loc[rng.random(3000) < 0.1, "amount"] = np.nan
    frame.loc[rng.random(3000) < 0.05, :] = None
    detector = fitted(frame[:2000])

    flagged = detector.score_frame(frame[2000:])["is_anomaly"]

    assert flagged.mean() < 0.025
    blank = frame[2000:][frame[2000:].isna().all(axis=1)]
    assert (detector.score_frame(blank)["p_value"] <= 0.55).all()
