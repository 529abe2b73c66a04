import json
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.schema import Schema


def infer_quietly(frame, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Schema.infer(frame, **options)


def kind_of(cells, **options):
    frame = pd.DataFrame({"x": cells, "other": 1.0})
    return infer_quietly(frame, **options).columns[0].kind


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([1, 2, 2], "number"),
        ([1.5, None, 2.0], "number"),
        (["  1100", "   .", "1e3"], "number"),
        (["007", "NA", "-3.5"], "number"),
        ([Decimal("1.5"), None, 2], "number"),
        (pd.array([1, None, 2], dtype="Int64"), "number"),
        (pd.array([1, None, 2], dtype="double[pyarrow]"), "number"),
        ([True, False, True], "boolean"),
        ([True, None, False], "boolean"),
        (pd.array([True, None, False], dtype="boolean"), "boolean"),
        (pd.array([True, None, False], dtype="bool[pyarrow]"), "boolean"),
        (["t", "f", "t"], "category"),
        (["yes", "no", "?"], "category"),
        (["1", "two", "3"], "category"),
        ([1, "two", None], "category"),
        (pd.Categorical([1, 2, 1]), "category"),
        (pd.array(["a", None, "b"], dtype="string"), "category"),
        (pd.array(["a", None, "b"], dtype="string[pyarrow]"), "category"),
        (["2014-10-17", "?", "2015-01-25"], "datetime"),
        (["2014-10-17 12:30:00", "2014-10-17T12:30:00Z", None], "datetime"),
        (["17/10/2014", "25/01/2015", "01/02/2015"], "datetime"),
        (["17/10/2014", "25.01.2015", "2015 Feb"], "category"),
        (["2014-10-17", "soon", "2015-01-25"], "category"),
        (pd.to_datetime(["2014-10-17", None, "2015-01-25"]), "datetime"),
        (pd.to_datetime(["2014-10-17", None, "2015-01-25"], utc=True), "datetime"),
        (["?", "", None], "ignored"),
        ([np.nan, np.nan, np.nan], "ignored"),
    ],
)
def test_kind_is_what_all_cells_can_be_read_as(cells, kind):
    assert kind_of(cells) == kind


def test_check_reads_every_kind_into_its_plain_dtype():
    frame = pd.DataFrame(
        {
            "number": [" 1", ".", "2.5"],
            "flag": pd.array([True, None, False], dtype="boolean"),
            "word": [" a ", "N/A", "none"],
            "moment": pd.to_datetime(["2024-01-31 01:00", None, "2024-02-01 00:00"]).tz_localize(
                "Europe/Berlin"
            ),
        },
        index=["r", "s", "s"],
    )

    checked = infer_quietly(frame).check(frame[::-1].iloc[::-1, ::-1])

    assert list(checked.columns) == list(frame.columns)
    assert list(checked.index) == ["r", "s", "s"]
    np.testing.assert_array_equal(checked["number"], [1, np.nan, 2.5])
    np.testing.assert_array_equal(checked["flag"], [1, np.nan, 0])
    assert checked["word"].dtype == object
    assert checked["word"].tolist() == ["a", None, "none"]
    assert checked["moment"].dtype == "datetime64[ns]"
    assert checked["moment"].tolist()[::2] == list(
        pd.to_datetime(["2024-01-31 00:00", "2024-01-31 23:00"])
    )


def test_check_does_not_change_its_argument():
    frame = pd.DataFrame({"x": [" 1", "?"], "y": ["a ", "b"]})
    before = frame.copy(deep=True)

    infer_quietly(frame).check(frame)

    pd.testing.assert_frame_equal(frame, before)


def test_integers_and_floats_are_the_same_categories():
    frame = pd.DataFrame({"code": [1, 2, 2]})
    schema = Schema.infer(frame, kinds={"code": "category"})

    checked = schema.check(pd.DataFrame({"code": [1.0, np.nan, 2.0]}))

    assert checked["code"].tolist() == ["1", None, "2"]


def test_moments_outside_the_range_of_nanoseconds_move_to_its_ends():
    moments = pd.Series(np.array(["9999-12-31", "0001-01-01", "NaT"], dtype="datetime64[s]"))
    frame = moments.to_frame("x")

    checked = Schema.infer(frame).check(frame)["x"]

    assert checked[0].year == 2262
    assert checked[1].year == 1678
    assert checked.isna().tolist() == [False, False, True]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [100, 400, 15_000])
def test_row_numbers_are_identifiers_also_on_half_of_the_rows(n, seed):
    rng = np.random.default_rng(seed)
    half = rng.permutation(n)[: n // 2]

    for cells in (half, half.astype(str), pd.array(half + 10**6, dtype="Int64")):
        assert kind_of(cells) == "ignored"


def test_distinct_measurements_are_not_identifiers():
    rng = np.random.default_rng(0)

    assert kind_of(rng.normal(size=200)) == "number"
    assert kind_of(rng.normal(size=200).astype(str)) == "number"
    assert kind_of(rng.choice(10**6, size=200, replace=False)) == "number"
    assert kind_of(np.arange(49)) == "number"
    assert kind_of(pd.date_range("2024", periods=200)) == "datetime"


def test_text_is_an_identifier_from_95_percent_distinct_values():
    names = np.random.default_rng(0).permutation([f"street {i}" for i in range(100)])
    names[[3, 4, 5, 6]] = names[[90, 80, 85, 95]]
    assert kind_of(names) == "ignored"
    names[8] = names[97]
    assert kind_of(names) == "category"


def test_text_of_hardly_any_value_twice_is_an_identifier():
    names = np.array([f"street {i}" for i in range(100)])

    assert kind_of(names) == "ignored"
    assert kind_of(names[:49]) == "category"


def test_every_ignored_column_gets_one_sentence():
    frame = pd.DataFrame({"id": np.arange(60), "void": None, "x": np.arange(60) % 3})

    with pytest.warns(UserWarning, match=r".") as caught:
        Schema.infer(frame)

    assert [str(warning.message) for warning in caught] == [
        "column 'id' is ignored: its 60 integers are all distinct, like row numbers; "
        "name its kind in kinds={'id': ...} to keep it.",
        "column 'void' is ignored: all its cells are missing.",
    ]


def test_kinds_override_what_would_be_inferred():
    frame = pd.DataFrame({"id": np.arange(60), "zip": ["00501", "10001"] * 30, "x": 0.0})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = Schema.infer(frame, kinds={"id": "number", "zip": "category", "x": "ignored"})

    assert [column.kind for column in schema.columns] == ["number", "category", "ignored"]
    assert schema.check(frame)["zip"].tolist()[:2] == ["00501", "10001"]


def test_schema_survives_json_with_names_of_any_scalar():
    frame = pd.DataFrame(
        [[1, " 2", "a", True], [2, "?", "b", False]], columns=[0, 7, "word", ("a", "b")]
    )
    frame["level"] = pd.Categorical(["lo", "hi"], categories=["lo", "hi"], ordered=True)
    schema = Schema.infer(frame)

    again = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))

    assert again == schema
    assert [column.name for column in again.used] == [0, 7, "word", ("a", "b"), "level"]


def test_extra_columns_are_ignored_with_one_warning_and_ignored_ones_may_be_absent():
    frame = pd.DataFrame({"id": np.arange(60), "x": np.zeros(60)})
    schema = infer_quietly(frame)

    with pytest.warns(UserWarning, match=r"columns \['b', 'a'\] were not in the training") as seen:
        checked = schema.check(frame[["x"]].assign(b=1, a=2))

    assert len(seen) == 1
    assert list(checked.columns) == ["x"]


TRAINING = pd.DataFrame(
    {"age": [41, 37], "name": ["x", "y"], "flag": [True, False], "day": ["2024-01-31"] * 2}
)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: f.drop(columns=["age", "flag"]), r"the frame has no column \['age', 'flag'\]"),
        (lambda f: f[["age", *f.columns]], r"distinct column names; got \['age'\] more than once"),
        (lambda f: f.iloc[:0], r"need rows and columns; got 0 sample\(s\) and 4 feature\(s\)"),
        (lambda f: f.iloc[:, :0], r"0 feature\(s\) \(shape=\(2, 0\)\) while a minimum of 1 is"),
        (lambda f: f.assign(age=["41", "old"]), r"numbers in column 'age'; got 'old' in row 'b'"),
        (lambda f: f.assign(age=[1, np.inf]), r"'age'; got inf \(infinity\) in row 'b'"),
        (lambda f: f.assign(age=["1", "-inf"]), r"'age'; got -inf \(infinity\) in row 'b'"),
        (lambda f: f.assign(age=[1j, 2]), r"Complex data not supported: column 'age'"),
        (lambda f: f.assign(age=pd.to_datetime(["2024", "2025"])), r"numbers in column 'age'; got"),
        (lambda f: f.assign(flag=[1, 2]), r"true or false in column 'flag'; got 2 in row 'b'"),
        (lambda f: f.assign(flag=["true", "yes"]), r"column 'flag'; got 'yes' in row 'b'"),
        (lambda f: f.assign(day=["?", "soon"]), r"dates like .* 'day'; got 'soon' in row 'b'"),
        (lambda f: f.assign(name=[[1], [2]]), r"booleans or dates in column 'name'; got list \[1"),
        (lambda f: f.assign(name=[b"a", b"b"]), r"in column 'name'; got bytes: convert it"),
    ],
)
def test_bad_frames_are_refused_in_one_sentence(change, sentence):
    schema = Schema.infer(TRAINING)
    frame = TRAINING.set_axis(["a", "b"])

    with pytest.raises(ValueError, match=sentence):
        schema.check(change(frame))


def test_bad_training_frames_are_refused():
    with pytest.raises(TypeError, match="need a pandas DataFrame; got ndarray"):
        Schema.infer(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="at least one usable column"):
        infer_quietly(pd.DataFrame({"x": [None, None]}))
    with pytest.raises(ValueError, match="kinds names column 'y'; the columns are"):
        Schema.infer(TRAINING, kinds={"y": "number"})
    with pytest.raises(ValueError, match=r"need a kind of .* for column 'age'; got 'float'"):
        Schema.infer(TRAINING, kinds={"age": "float"})
    with pytest.raises(ValueError, match="need numbers in column 'name'; got 'x' in row 0"):
        Schema.infer(TRAINING, kinds={"name": "number"})


def test_flags_written_as_text_are_read_where_booleans_are_wanted():
    schema = Schema.infer(TRAINING)

    checked = schema.check(TRAINING.assign(flag=["True", "?"]))

    np.testing.assert_array_equal(checked["flag"], [1, np.nan])


def test_columns_of_one_value_are_named_in_one_sentence():
    frame = pd.DataFrame({"a": [1, 1, 1], "b": ["x"] * 3, "c": [1, 2, 1], "d": [1.0, None, 1.0]})

    with pytest.warns(
        UserWarning, match=r"columns \['a', 'b'\] hold one value; any other"
    ) as caught:
        Schema.infer(frame)

    assert len(caught) == 1


def test_unreadable_cells_are_those_that_check_counts_as_missing_though_they_are_not():
    frame = pd.DataFrame(
        {
            "size": [f"{i}.5" for i in range(40)],
            "kind": list("ab") * 20,
            "on": [True, False] * 20,
            "day": [f"2025-01-{1 + i % 28:02d} 10:{i:02d}" for i in range(40)],
        }
    )
    schema = Schema.infer(frame, kinds={"day": "datetime", "size": "number"})
    later = frame.astype(object)
    later.loc[3, "size"], later.loc[4, "size"] = "ERR", None
    later.loc[5, "kind"], later.loc[6, "kind"] = "new", "?"
    later.loc[7, "on"], later.loc[8, "day"], later.loc[9, "day"] = "perhaps", "soon", ""

    unreadable = schema.unreadable(later)

    assert list(unreadable) == list(frame)
    found = unreadable.stack()
    assert found.index[found].tolist() == [(3, "size"), (7, "on"), (8, "day")]
    blank = schema.check(later.mask(unreadable))
    with pytest.warns(UserWarning, match="count as missing"):
        pd.testing.assert_frame_equal(blank, schema.check(later))
