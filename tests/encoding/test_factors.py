"""Per cent, thousand and million beside numbers without a mark."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.factors import infer_factors
from anomdiff.encoding.number_texts import infer_spelling, parse_numbers
from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.schema import Schema

AMOUNTS = np.random.default_rng(0).gamma(2, 800, 400)
ODD = np.arange(400) % 2 == 1


def abbreviated(value):
    """Write a number as dashboards do."""
    if value >= 1e6:
        return f"{value / 1e6:.3f}M"
    return f"{value / 1e3:.3f}K" if value >= 1e3 else f"{value:.3f}"


def some(first, second):
    """Write every other number in the second way."""
    return [second(v) if odd else first(v) for v, odd in zip(AMOUNTS, ODD, strict=True)]


WAYS = {
    "thousands": ([abbreviated(v) for v in AMOUNTS], AMOUNTS),
    "millions": ([abbreviated(v) for v in AMOUNTS**2], AMOUNTS**2),
    "few digits": ([abbreviated(v) for v in np.exp(AMOUNTS / 500)], np.exp(AMOUNTS / 500)),
    "salaries": (some("{:.3f}".format, lambda v: f"{v / 1000:.6f}k"), AMOUNTS),
    "per cent": (some("{:.5f}".format, lambda v: f"{v * 100:.5f} %"), AMOUNTS),
    "only per cent": ([f"{v:.4f}%" for v in AMOUNTS], AMOUNTS),
    "same unit": (some("{:.4f}".format, "{:.4f}%".format), AMOUNTS),
    "kelvin": (some("{:.4f}".format, "{:.4f} K".format), AMOUNTS),
    "metres": (some("{:.4f}".format, "{:.4f} m".format), AMOUNTS),
    "per thousand": (some("{:.6f}".format, lambda v: f"{v * 1000:.4f}\u2030"), AMOUNTS),
}


@pytest.fixture(params=WAYS)
def way(request):
    """Texts, and the numbers that they were written from."""
    return WAYS[request.param]


def test_numbers_are_those_that_were_written(way):
    texts, wanted = np.array(way[0], dtype=object), way[1]
    counts = np.ones(len(texts), dtype=int)

    decimal, unit = infer_spelling(texts, counts)
    unit, factors = infer_factors(texts, counts, decimal, unit)

    np.testing.assert_allclose(parse_numbers(texts, decimal, unit, factors), wanted, rtol=1e-3)


def test_tables_and_series_read_the_same_after_storage(way):
    frame = pd.DataFrame({"x": way[0], "y": np.sin(np.arange(400))})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = Schema.infer(frame)
        layout = PanelLayout.infer(frame, None, None)

    stored = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
    panel = PanelLayout.from_dict(json.loads(json.dumps(layout.to_dict())))

    assert stored == schema
    assert panel == layout
    np.testing.assert_allclose(stored.check(frame)["x"], way[1], rtol=1e-3)
    np.testing.assert_array_equal(panel.numbers(frame["x"], "x"), stored.check(frame)["x"])


def test_marks_beside_numbers_without_one_are_told():
    frame = pd.DataFrame({"x": WAYS["per cent"][0], "y": range(400)})

    with pytest.warns(UserWarning, match=r"column 'x' .* '%' multiplies it by 0\.01"):
        Schema.infer(frame)


@pytest.mark.parametrize("mark", ["%", "k", "M"])
def test_a_mark_that_training_has_not_is_unreadable_later(mark):
    frame = pd.DataFrame({"x": [f"{v:.3f}" for v in AMOUNTS], "y": np.sin(np.arange(400))})
    for cells in (frame["x"], frame["x"].astype(float)):
        schema = Schema.infer(frame.assign(x=cells))
        later = frame.assign(x=[f"{AMOUNTS[0]:.3f}{mark}", *frame["x"][1:]])

        with pytest.warns(UserWarning, match="1 of 400 cells of column 'x' are no numbers"):
            read = schema.check(later)

        assert read["x"].isna().tolist() == [True] + [False] * 399


def test_where_neither_reading_is_clear_marked_cells_are_unreadable():
    texts = np.array(some("{:.4f}".format, lambda v: f"{v * 10:.4f}%"), dtype=object)

    unit, factors = infer_factors(texts, np.ones(400, dtype=int), ".", "")

    read = parse_numbers(texts, ".", unit, factors)
    np.testing.assert_array_equal(np.isnan(read), ODD)
    with pytest.warns(UserWarning, match=r"read as texts.*write its numbers in one unit"):
        Schema.infer(pd.DataFrame({"x": [*texts, *["7"] * 20] * 3, "y": range(1260)}))


def test_a_column_of_an_earlier_version_reads_per_cent_as_it_did():
    frame = pd.DataFrame({"x": WAYS["only per cent"][0]})
    state = Schema.infer(frame).to_dict()
    del state["columns"][0]["factors"]

    read = Schema.from_dict(state).check(frame)["x"]

    np.testing.assert_allclose(read, AMOUNTS, rtol=1e-3)
