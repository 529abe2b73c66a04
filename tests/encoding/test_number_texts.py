"""Numbers as people write them."""

import numpy as np
import pytest

from anomdiff.encoding.number_texts import are_codes, infer_spelling, parse_numbers

NUMBERS = np.array([0.0, 0.5, -3.25, 1234.5, -98765.25, 1e6, 12.0, 999999.75])


def spelled(value, decimal=".", thousands="", before="", after=""):
    """Write a number the way a spreadsheet would."""
    text = f"{abs(value):,.2f}".replace(",", "T").replace(".", decimal).replace("T", thousands)
    return f"{'-' if value < 0 else ''}{before}{text}{after}"


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("thousands", ["", " ", "\u00a0", "\u202f", "'", "other"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("$", ""),
        ("\u20ac ", ""),
        ("", " EUR"),
        ("", "%"),
        ("", " kg"),
        ("US$", ""),
        ("", "\u00b0C"),
        ("Rs. ", ""),
        ("$", "/kg"),
        ("", " EUR/kg"),
        ("", " sq m"),
        ("", " Euro"),
    ],
)
def test_a_number_is_read_in_every_spelling(decimal, thousands, before, after):
    thousands = {".": ",", ",": "."}[decimal] if thousands == "other" else thousands
    texts = np.array([spelled(v, decimal, thousands, before, after) for v in NUMBERS], dtype=object)

    mark, unit = infer_spelling(texts, np.ones(len(texts), dtype=int))

    assert mark == decimal
    np.testing.assert_allclose(parse_numbers(texts, mark, unit), NUMBERS)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(1,250.5)", -1250.5),
        ("5-", -5),
        ("\u22123", -3),
        ("<0.05", 0.05),
        (">= 10", 10),
        ("1,23,456", 123456),
        ("-$5", -5),
        ("$-5", -5),
        ("1e3", 1000),
        (".5", 0.5),
        ("007", 7),
        ("52.28 DR", -52.28),
        ("52.28 CR", 52.28),
        ("'1467.45", 1467.45),
        ("\uff11\uff12\uff0e\uff15", 12.5),
        ("\u0661\u0662\u066b\u0665", 12.5),
        ("-\u0967\u0968", -12),
    ],
)
def test_signs_bounds_and_groups_are_understood(text, value):
    assert parse_numbers(np.array([text], dtype=object))[0] == value


@pytest.mark.parametrize(
    "text",
    [
        "ERR",
        "#DIV/0!",
        "\\N",
        "--",
        "1.2.3",
        "10-20",
        "12:30",
        "2024-01-31",
        "A12",
        "1/2",
        "1,5",
        "0,123",
        "31.12.24",
        "10.0.0.1",
        "1 2",
        "",
        "kg",
        "5 to 6 kg",
        "5\u00b2",
    ],
)
def test_what_is_no_number_is_none(text):
    assert np.isnan(parse_numbers(np.array([text], dtype=object))[0])


def test_a_number_with_another_unit_is_none():
    texts = np.array(["5 kg", "3 KG", "500 g", "7"], dtype=object)

    np.testing.assert_array_equal(parse_numbers(texts, ".", "kg"), [5, 3, np.nan, 7])
    assert infer_spelling(texts, np.ones(4, dtype=int)) == (".", "kg")


def test_missing_texts_stay_missing_and_the_order_is_kept():
    texts = np.array(["2,5", None, "x", "1"], dtype=object)

    np.testing.assert_array_equal(parse_numbers(texts, ","), [2.5, np.nan, np.nan, 1])


def test_the_frequent_spelling_wins():
    texts = np.array(["2,5", "2.5"], dtype=object)

    assert infer_spelling(texts, np.array([9, 1]))[0] == ","
    assert infer_spelling(texts, np.array([1, 9]))[0] == "."


@pytest.mark.parametrize(
    ("texts", "decimal"),
    [
        (["3.669", "812", "12.500"], ","),
        (["3.669 EUR", "81 EUR", "1.250.000 EUR"], ","),
        (["3.669", "5.275", "2.133"], "."),
        (["3.669", "1", "2.1"], "."),
        (["0.669", "812"], "."),
        (["3.669", "12"], "."),
    ],
)
def test_points_set_off_thousands_beside_whole_numbers_of_three_digits(texts, decimal):
    assert infer_spelling(np.array(texts, dtype=object), np.ones(len(texts), int))[0] == decimal


@pytest.mark.parametrize(
    ("texts", "codes"),
    [
        (["00012", "10344"], True),
        (["00012", "344"], False),
        (["10012", "10344"], False),
        (["01", "12"], False),
        (["012.5", "112.5"], False),
    ],
)
def test_digits_of_one_width_padded_with_zeros_are_codes_where_they_repeat(texts, codes):
    texts = np.array(texts, dtype=object)

    assert are_codes(texts, np.array([2, 2])) == codes
    assert not are_codes(texts, np.array([1, 1]))
