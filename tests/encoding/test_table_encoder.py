import datetime
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from anomdiff.encoding.schema import Schema
from anomdiff.encoding.table import TableEncoder


def fitted(frame, **options):
    schema = Schema.infer(frame, **options)
    return TableEncoder().fit(schema.check(frame), schema)


def encode(encoder, frame):
    return encoder.encode(encoder.schema.check(frame))


def mixed_frame(n=200, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": rng.normal(3, 2, size=n),
            "count": rng.integers(0, 9, size=n),
            "flag": rng.random(n) < 0.3,
            "word": rng.choice(["red", "green", "blue"], size=n),
            "when": pd.Timestamp("2024") + pd.to_timedelta(rng.integers(0, 10**7, size=n), "s"),
            "text": [f" {x:.2f}" for x in rng.normal(size=n)],
        }
    )
    for name in ("size", "word", "when", "text"):
        frame[name] = frame[name].mask(rng.random(n) < 0.1)
    return frame


MOMENTS = pd.to_datetime(
    ["2024-01-31 10:00:00", None, "2024-03-31 23:59:59", "2024-02-01 00:00:00"]
)
DAYS = [datetime.date(2024, 1, 31), None, datetime.date(2024, 3, 1), datetime.date(2023, 1, 1)]
CELLS = {
    "int8": pd.array([1, 127, -128, 5], dtype="int8"),
    "uint64": pd.array([1, 2**40, 3, 0], dtype="uint64"),
    "float32": pd.array([1.5, np.nan, 0.25, 7], dtype="float32"),
    "float64": [1e-3, np.nan, 1e3, 2],
    "Int64": pd.array([1, None, 3, 3], dtype="Int64"),
    "Float64": pd.array([1, None, 3, 3.5], dtype="Float64"),
    "int64[pyarrow]": pd.array([1, None, 3, 3], dtype="int64[pyarrow]"),
    "double[pyarrow]": pd.array([1, None, 3, 0.5], dtype="double[pyarrow]"),
    "bool": [True, False, False, True],
    "boolean": pd.array([True, None, False, True], dtype="boolean"),
    "bool[pyarrow]": pd.array([True, None, False, True], dtype="bool[pyarrow]"),
    "objects: booleans": pd.array(np.array([True, None, False, True], dtype=object)),
    "objects: text": pd.Series(["a", None, "b", "a"], dtype=object),
    "str": ["a", None, "b", "a"],
    "string": pd.array(["a", None, "b", "a"], dtype="string"),
    "string[pyarrow]": pd.array(["a", None, "b", "a"], dtype=pd.ArrowDtype(pa.string())),
    "text numbers": ["1100", None, "0.25", "-3"],
    "text dates": ["2024-01-31", None, "2023-12-31", "2024-02-29"],
    "text moments": ["2024-01-31 00:00:01", None, "2023-12-31 00:00:00", "2024-02-29 12:30:00"],
    "text stamps": ["2024-01-31T00:00:01.250000", None] + ["2023-12-31T00:00:00.000000"] * 2,
    "text slashes": ["2024/01/31", None, "2023/12/31", "2024/02/29"],
    "category": pd.Categorical(["a", None, "b", "a"], categories=["c", "b", "a"], ordered=True),
    "category of ints": pd.Categorical([10, None, 20, 10], categories=[20, 10, 30]),
    "category of flags": pd.Categorical([True, None, False, True]),
    "datetime64[ns]": MOMENTS.as_unit("ns"),
    "datetime64[s]": MOMENTS.as_unit("s"),
    "datetime64[us, UTC]": MOMENTS.as_unit("us").tz_localize("UTC"),
    "datetime64[ns, Europe/Berlin]": MOMENTS.as_unit("ns").tz_localize("Europe/Berlin"),
    "timestamp[pyarrow]": pd.array(MOMENTS, dtype=pd.ArrowDtype(pa.timestamp("us", "UTC"))),
    "date32[pyarrow]": pd.array(DAYS, dtype=pd.ArrowDtype(pa.date32())),
}


@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS.keys())
def test_decoding_what_was_encoded_gives_back_the_frame(cells):
    frame = pd.DataFrame({"x": cells, "y": [0.0, 1.0, 2.0, 3.0]})
    encoder = fitted(frame)

    decoded = encoder.decode(encode(encoder, frame)[0])

    pd.testing.assert_frame_equal(decoded, frame)


@pytest.mark.parametrize(
    "cells",
    [
        pd.array([1, None, 3, 3], dtype="Int64"),
        [0.5, np.nan, 2.0, 2.0],
        [True, False, True, True],
        pd.to_datetime(["2024-01-31", None, "2024-03-31", "2024-02-01"], utc=True),
    ],
)
def test_any_dtype_can_be_read_as_categories(cells):
    frame = pd.DataFrame({"x": cells})
    encoder = fitted(frame, kinds={"x": "category"})

    decoded = encoder.decode(encode(encoder, frame)[0])

    pd.testing.assert_frame_equal(decoded, frame)


def test_every_value_decodes_even_far_from_training():
    frame = pd.DataFrame({f"{i}": cells for i, cells in enumerate(CELLS.values())})
    encoder = fitted(frame)
    values = 1e6 * np.random.default_rng(0).normal(size=(50, *encoder.event_shape))

    decoded = encoder.decode(values)

    assert decoded.dtypes.tolist() == frame.dtypes.tolist()


def test_values_do_not_depend_on_order_or_company_of_rows():
    frame = mixed_frame()
    encoder = fitted(frame)
    values, observed = encode(encoder, frame)
    order = np.random.default_rng(1).permutation(len(frame))[:50]

    some_values, some_observed = encode(encoder, frame.iloc[order, ::-1])

    np.testing.assert_array_equal(some_values, values[order])
    np.testing.assert_array_equal(some_observed, observed[order])


def test_fit_does_not_depend_on_the_order_of_rows():
    frame = mixed_frame()

    values, _ = encode(fitted(frame), frame)
    again, _ = encode(fitted(frame[::-1]), frame)

    np.testing.assert_allclose(values, again, atol=1e-12)


def test_an_encoder_survives_json():
    frame = mixed_frame()
    encoder = fitted(frame)

    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))

    np.testing.assert_array_equal(encode(again, frame)[0], encode(encoder, frame)[0])
    assert again.to_dict() == encoder.to_dict()
    assert again.features == encoder.features
    assert again.event_shape == encoder.event_shape


def test_columns_have_about_unit_variance():
    frame = mixed_frame(2000)
    encoder = fitted(frame)
    values, observed = encode(encoder, frame)

    mean = values.sum(axis=0) / observed.sum(axis=0)
    variance = (np.square(values).sum(axis=0) / observed.sum(axis=0)) - mean**2

    ranks = np.array([name.endswith(" rank") for name in encoder.features])
    np.testing.assert_allclose(mean[~ranks], 0, atol=1e-9)
    np.testing.assert_allclose(mean[ranks], 0, atol=0.02)
    flags = np.array([name.endswith(" is missing") for name in encoder.features])
    assert (variance[flags] <= 0.25).all()  # plain 0 and 1
    variance[flags] = 0
    folded = dict(zip(frame.columns, encoder.fold(variance[None])[0], strict=True))
    assert folded == pytest.approx(
        {"size": 2, "count": 2, "flag": 1, "word": 1, "when": 4, "text": 2}, rel=0.1
    )


def test_missing_cells_are_unobserved_and_said_to_be_missing():
    frame = pd.DataFrame({"x": [1.0, 3.0, np.nan, np.nan], "y": [0.0, 1.0, 2.0, 3.0]})
    encoder = fitted(frame)

    values, observed = encode(encoder, frame)

    assert encoder.features == ["x", "x is missing", "y", "y rank"]
    np.testing.assert_array_equal(values[:, 0], [-1, 1, 0, 0])
    np.testing.assert_array_equal(observed[:, 0], [True, True, False, False])
    np.testing.assert_array_equal(values[:, 1], [-0.5, -0.5, 0.5, 0.5])
    assert observed[:, 1:].all()


def test_a_missing_cell_that_training_never_showed_is_just_unobserved():
    frame = pd.DataFrame({"x": [1, 2, 3], "word": ["a", "b", "a"]})
    encoder = fitted(frame)

    values, observed = encode(encoder, pd.DataFrame({"x": [np.nan], "word": ["?"]}))

    assert not values.any()
    assert not observed.any()
    assert encoder.decode(values).to_dict("records") == [{"x": 2, "word": "a"}]


def test_a_nullable_column_without_missing_cells_in_the_fitted_rows_still_round_trips():
    frame = pd.DataFrame({"x": [1.0, 2.0, np.nan]})
    schema = Schema.infer(frame)
    encoder = TableEncoder().fit(schema.check(frame[:2]), schema)

    values, _ = encode(encoder, frame)

    assert values[2, 1] == 1
    pd.testing.assert_frame_equal(encoder.decode(values), frame)


def test_missing_markers_among_categories_decode_as_missing():
    frame = pd.DataFrame({"x": pd.Categorical(["a", "?", "N/A", None, "b"])})
    encoder = fitted(frame)

    decoded = encoder.decode(encode(encoder, frame)[0])

    assert decoded["x"].dtype == frame["x"].dtype
    assert decoded["x"].isna().tolist() == [False, True, True, True, False]
    assert decoded["x"].dropna().tolist() == ["a", "b"]


def test_decoding_does_not_depend_on_the_company_of_rows():
    frame = mixed_frame().assign(day=["2024-01-31 00:00:00", "2024-02-01 10:30:00"] * 100)
    encoder = fitted(frame)
    values, _ = encode(encoder, frame)

    one = encoder.decode(values[:1])

    pd.testing.assert_frame_equal(one, encoder.decode(values)[:1])


@pytest.mark.parametrize("void", [None, np.nan, pd.NA, "?"])
def test_a_row_without_any_cell_is_read_whatever_its_dtypes(void):
    frame = mixed_frame()
    encoder = fitted(frame)

    values, observed = encode(encoder, pd.DataFrame({name: [void] for name in frame}))

    said = [i for i, name in enumerate(encoder.features) if name.endswith("is missing")]
    np.testing.assert_array_equal(observed.nonzero()[1], said)
    np.testing.assert_array_equal(values.nonzero()[1], said)


def test_fold_sums_the_coords_that_part_marks():
    frame = mixed_frame()
    encoder = fitted(frame)
    errors = np.random.default_rng(2).random((7, *encoder.event_shape))

    folded = encoder.fold(errors)

    assert folded.shape == (7, frame.shape[1])
    for i, name in enumerate(frame.columns):
        np.testing.assert_allclose(folded[:, i], errors[:, encoder.part(name)].sum(axis=1))
    with pytest.raises(ValueError, match=r"need one of the used columns .*; got 'else'"):
        encoder.part("else")


def test_max_categories_limits_the_slots():
    frame = mixed_frame()[["word"]]
    schema = Schema.infer(frame)

    encoder = TableEncoder(max_categories=1).fit(schema.check(frame), schema)

    assert encoder.features[1:] == ["word is rare", "word is unseen", "word is missing"]
    with pytest.raises(ValueError, match="need max_categories >= 1; got 0"):
        TableEncoder(max_categories=0).fit(schema.check(frame), schema)


def test_views_share_all_coords_but_distances_and_ranks():
    encoder = fitted(mixed_frame(200))

    distances, ranks = encoder.views()

    names = np.array(encoder.features)
    assert set(names[~distances]) == {name for name in names if name.endswith(" rank")}
    assert {f"{name} rank" for name in names[~ranks]} == set(names[~distances])


def test_a_table_without_ranks_has_one_view():
    encoder = fitted(pd.DataFrame({"flag": [True, False, True], "word": ["a", "b", "a"]}))

    assert encoder.views().tolist() == [[True] * len(encoder.features)]


def test_cells_beyond_training_are_out_of_range_or_new_and_missing_ones_are_neither():
    training = pd.DataFrame(
        {
            "number": [1.0, 2.0, 3.5, 2.0],
            "kind": ["a", "b", "b", "c"],
            "when": pd.to_datetime(["2025-01-01", "2025-01-02", "2025-01-03", "2025-01-03"]),
        }
    )
    schema = Schema.infer(training)
    encoder = TableEncoder().fit(schema.check(training), schema)
    rows = pd.DataFrame(
        {
            "number": [0.9, 3.5, None],
            "kind": ["z", "a", None],
            "when": pd.to_datetime(["2025-02-01", "2025-01-01", None]),
        }
    )

    found = encoder.beyond(schema.check(rows))

    assert found.to_numpy().tolist() == [[True] * 3, [False] * 3, [False] * 3]
    assert not encoder.beyond(schema.check(training)).to_numpy().any()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12], ids=str)
def test_digits_round_floats_relative_to_the_largest_cell_and_leave_all_else(scale):
    frame = mixed_frame().assign(size=lambda f: f["size"] * scale)
    encoder = fitted(frame)
    values, _ = encode(encoder, frame)

    exact, rounded = encoder.decode(values), encoder.decode(values, digits=3)

    others = exact.columns.drop(["size"])
    floats = [name for name in others if exact[name].dtype == "float64"]
    pd.testing.assert_frame_equal(
        rounded[others.drop(floats)], exact[others.drop(floats)], check_exact=True
    )
    for name in ["size", *floats]:
        step = 10.0 ** (np.ceil(np.log10(exact[name].abs().max())) - 3)
        assert (rounded[name].isna() == exact[name].isna()).all()
        assert ((rounded[name] - exact[name]).abs().dropna() <= step * (0.5 + 1e-9)).all()
        steps = rounded[name].dropna() / step
        np.testing.assert_allclose(steps, steps.round(), atol=1e-6)


def test_digits_take_the_rounding_errors_of_decoding_away():
    frame = pd.DataFrame({"x": [0.1, 0.2, 0.7, 1e6 / 3, np.nan], "zero": [0.0] * 5, "y": range(5)})
    encoder = fitted(frame)
    values, _ = encode(encoder, frame)
    near = values * (1 + 1e-15)

    one, other = (encoder.decode(each, digits=9) for each in (values, near))

    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert one["zero"].eq(0.0).all()


@pytest.mark.filterwarnings("ignore:columns")
def test_every_used_column_has_coords_whichever_rows_are_fitted():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows, days = int(rng.integers(60, 400)), int(rng.integers(14, 1500))
        day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, days, rows), "D")
        if seed % 2:
            day = day.sort_values() + pd.to_timedelta(rng.integers(0, 24, rows), "h")
        frame = pd.DataFrame({"size": rng.normal(size=rows), "day": day})
        schema = Schema.infer(frame)
        checked = schema.check(frame)
        some = checked.iloc[rng.permutation(rows)[: 1 + int(rows * rng.random())]]

        encoder = TableEncoder().fit(some, schema)

        values, _ = encoder.encode(checked)
        assert all(encoder.part(column.name).any() for column in schema.used)
        assert len(encoder.decode(values)) == rows
