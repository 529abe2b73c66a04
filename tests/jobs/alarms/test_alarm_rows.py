"""Laws of the alarm table of a table: what it says is what the detector says."""

import json
import warnings
from datetime import date

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from anomdiff.explain.reasons import PARTS, cell_text, sentence
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.thresholds.severity import severity
from tests.tables import mixed_table

NIGHT = date(2026, 1, 31)


@pytest.fixture(scope="module")
def night():
    """A night of sales, six of them with another price, with a key."""
    frame = mixed_table(200, seed=1).reset_index(names="sale")
    frame.loc[[3, 50, 51, 120, 150, 199], "price"] += [900, 300, 500, 700, 1500, 400]
    return frame


def _score(folder, frame, detector, *, data="in.parquet", alarms="alarms.parquet", **more):
    path = folder / data
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    given = {"key": "sale", "batch_date": NIGHT, "alarms": folder / alarms, **more}
    settings = ScoreSettings(
        data=path, output=folder / "out" / "scored.parquet", overwrite=True, **given
    )
    return settings, score(settings, detector)


def _read(path):
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
    if path.suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").splitlines()
        return pd.DataFrame([json.loads(line) for line in lines])
    return readers[path.suffix](path)


@pytest.mark.parametrize("batch_size", [60, 1000])
def test_each_alarm_has_a_line_with_what_the_scored_file_has_worst_first(
    tmp_path, detector, night, batch_size
):
    settings, summary = _score(tmp_path, night, detector, batch_size=batch_size)

    table, scored = pd.read_parquet(settings.alarms), pd.read_parquet(settings.output)
    flagged = scored[scored["is_anomaly"]].set_index("row")
    assert len(table) == summary["alarms"] == summary["alarm_table_rows"] >= 6
    assert set(table["row"]) == set(flagged.index)
    assert table["severity"].is_monotonic_decreasing
    own = flagged.loc[table["row"]]
    for name in ("sale", "anomaly_score", "p_value"):
        assert table[name].tolist() == own[name].tolist()
    assert set(table["batch_date"]) == {NIGHT}
    wanted = severity(own["anomaly_score"], detector.calibration_scores_, detector.threshold_)
    np.testing.assert_array_equal(table["severity"], wanted)


def test_q_values_are_those_of_benjamini_and_hochberg_within_the_batch(tmp_path, detector, night):
    settings, _ = _score(tmp_path, night, detector, batch_size=70)

    table, scored = pd.read_parquet(settings.alarms), pd.read_parquet(settings.output)
    p_values = scored["p_value"].to_numpy()
    for p, q in zip(table["p_value"], table["q_value"], strict=True):
        # Of m rows, those with a p-value of at most x are this many; the least of these rates.
        rates = [x * len(p_values) / (p_values <= x).sum() for x in p_values if x >= p]
        assert q == pytest.approx(min(rates))


@pytest.mark.parametrize("batch_size", [60, 1000])
def test_reasons_are_those_of_explain(tmp_path, detector, night, batch_size):
    settings, _ = _score(tmp_path, night, detector, reasons=2, batch_size=batch_size)

    table = pd.read_parquet(settings.alarms)
    rows = night.drop(columns="sale").loc[table["row"]]
    explained = detector.explain(rows, top=2)
    for line, (row, own) in zip(
        table.to_dict("records"), explained.groupby("row", sort=False), strict=True
    ):
        assert line["row"] == row
        for i, reason in enumerate(own.to_dict("records"), start=1):
            found = {key: line[f"reason_{i}_{key}"] for key in reason if key != "row"}
            assert found.pop("contribution") == pytest.approx(reason["contribution"], rel=1e-6)
            texts = {key: None if pd.isna(cell) else cell for key, cell in found.items()}
            assert texts == {key: cell_text(reason[key]) for key in found}
    assert "reason_3_column" not in table
    assert table["reason_1_column"][0] == "price"
    assert table["sentence"][0].startswith("price ")
    assert ", expected " in table["sentence"][0]


@pytest.mark.parametrize("batch_size", [25, 1000])
def test_the_worst_alarms_are_explained_and_no_more(tmp_path, detector, night, batch_size):
    settings, summary = _score(tmp_path, night, detector, max_explained=3, batch_size=batch_size)

    table = pd.read_parquet(settings.alarms)
    assert summary["alarms"] > 3
    assert table["sentence"].notna().tolist() == [True] * 3 + [False] * (len(table) - 3)
    assert table["reason_1_column"].notna().equals(table["sentence"].notna())


def test_none_of_the_alarms_need_be_explained(tmp_path, detector, night):
    settings, summary = _score(tmp_path, night, detector, max_explained=0)

    table = pd.read_parquet(settings.alarms)
    assert len(table) == summary["alarms"]
    assert table["sentence"].isna().all()


def test_a_night_without_alarms_has_an_empty_table_with_the_same_columns(tmp_path, detector, night):
    calm = night.drop(index=night.index[detector.predict(night.drop(columns="sale")) < 0])
    for suffix in (".csv", ".parquet"):
        full, _ = _score(tmp_path, night, detector, alarms=f"full{suffix}")
        empty, summary = _score(tmp_path, calm, detector, alarms=f"empty{suffix}")

        assert summary["alarm_table_rows"] == 0
        assert len(_read(empty.alarms)) == 0
        assert list(_read(empty.alarms)) == list(_read(full.alarms))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_all_kinds_of_files_hold_the_same(tmp_path, detector, night, suffix):
    parquet, _ = _score(tmp_path, night, detector)
    other, _ = _score(tmp_path, night, detector, alarms=f"alarms{suffix}")

    wanted, found = _read(parquet.alarms), _read(other.alarms)
    assert list(found) == list(wanted)
    for name in wanted:
        if pd.api.types.is_float_dtype(wanted[name]):
            np.testing.assert_allclose(found[name], wanted[name])
        else:
            cells = [None if pd.isna(cell) else str(cell) for cell in wanted[name]]
            texts = [None if pd.isna(cell) else str(cell) for cell in found[name]]
            assert [_plain(text) for text in texts] == [_plain(text) for text in cells]


def _plain(text):
    """Text of a cell; CSV has no types, so that 3 may come back as 3.0."""
    return text.removesuffix(".0") if text is not None else None


def test_the_number_of_the_row_tells_rows_apart_where_no_key_is_given(tmp_path, detector, night):
    settings, _ = _score(tmp_path, night, detector, key=())

    assert pq.read_schema(settings.alarms).names[:2] == ["row", "batch_date"]


def test_a_cell_that_is_no_number_does_not_fail_the_explanation(tmp_path, detector, night):
    broken = night.astype({"weight": object})
    broken.loc[150, "weight"] = "ERR"

    with pytest.warns(UserWarning, match="1 of 200 cells of column 'weight'"):
        settings, _ = _score(tmp_path, broken, detector, data="in.csv")

    table = pd.read_parquet(settings.alarms).set_index("row")
    assert table["reason_1_column"][150] == "price"


@pytest.mark.parametrize("batch_size", [60, 1000])
def test_keys_that_several_rows_share_are_told_once(tmp_path, detector, night, batch_size):
    others = {"sale-150": "sale-7", "sale-40": "sale-20", "sale-90": "sale-20"}
    repeated = night.assign(sale=night["sale"].replace(others))
    said = r"3 rows have the key \['sale'\] of an earlier one, first row 40 that of row 20"

    with pytest.warns(UserWarning, match=said):
        _score(tmp_path, repeated, detector, data="in.csv", batch_size=batch_size)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _score(tmp_path, night, detector, data="in.csv", batch_size=batch_size)
        _score(tmp_path, repeated, detector, key=("sale", "price"), batch_size=batch_size)


def test_a_key_must_not_be_named_like_a_column_of_the_alarm_table(tmp_path, detector, night):
    with pytest.raises(ValueError, match=r"need other names for the key columns \['severity'\]"):
        renamed = night.rename(columns={"sale": "severity"})
        _score(tmp_path, renamed, detector, key="severity")


def _reasons(*rows):
    return pd.DataFrame(rows, columns=list(PARTS))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (("amount", 940.0, 150.0, 120.0, 180.0, 3.0), "amount 940, expected 120 to 180"),
        (("amount", "940", 150.0, 120.0, 180.0, 3.0), "amount '940', expected 120 to 180"),
        (("amount", 150.5, 170.25, 120.0, 180.0, 3.0), "amount 150.5, expected 170.2"),
        (("amount", 940.0, 5.0, 5.0, 5.0, 3.0), "amount 940, expected 5"),
        (("amount", np.nan, 150.0, 120.0, 180.0, 3.0), "amount missing, expected 120 to 180"),
        (("kind", "rare", "book", None, None, 3.0), "kind 'rare', expected 'book'"),
        (("kind", "rare", None, None, None, 3.0), "kind 'rare', expected missing"),
        (("amount", 1234567.8, 5.0, 1.0, 9.0, 3.0), "amount 1,234,568, expected 1 to 9"),
    ],
)
def test_a_sentence_says_what_was_found_and_what_was_expected(row, told):
    assert sentence(_reasons(row)) == told


def test_a_sentence_leaves_out_columns_that_hardly_contribute():
    rows = _reasons(
        ("a", 9.0, 1.0, 0.0, 2.0, 4.0), ("b", "x", "y", None, None, 1.0), ("c", 1.0, 2, 0, 3, 0.3)
    )

    assert sentence(rows) == "a 9, expected 0 to 2; b 'x', expected 'y'"
