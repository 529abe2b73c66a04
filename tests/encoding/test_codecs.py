import numpy as np
import pandas as pd
import pytest
from scipy import stats

from anomdiff.encoding.codecs import UNSEEN, CategoryCodec, NumberCodec
from anomdiff.encoding.datetime_codec import DatetimeCodec


def words(*cells):
    return np.array(cells, dtype=object)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_numbers_are_z_scores_at_any_scale(scale):
    cells = scale * np.random.default_rng(0).normal(5, 2, size=1000)

    codec = NumberCodec.fit(cells)

    z = codec.encode(cells)[:, 0]
    scaled = cells / scale
    np.testing.assert_allclose(z, (scaled - scaled.mean()) / scaled.std(), rtol=1e-9)
    np.testing.assert_allclose(codec.decode(z[:, None]), cells, rtol=1e-9)


def test_huge_numbers_stay_finite():
    codec = NumberCodec.fit(np.array([0.0, 1.0, 2.0]))

    z = codec.encode(np.array([1e308, -1e308, 1e300]))

    np.testing.assert_array_equal(z[:, 0], [1e6, -1e6, 1e6])
    assert np.isfinite(NumberCodec.fit(np.array([1e308, -1e308, 0])).decode(z)).all()


@pytest.mark.parametrize("constant", [0.0, 7.0, -1e300, 0.1])
def test_a_constant_says_only_smaller_equal_or_larger(constant):
    codec = NumberCodec.fit(np.full(100, constant))
    step = max(abs(constant), 1.0) / 10

    z = codec.encode(np.array([constant - step, constant, constant + step]))

    np.testing.assert_array_equal(z[:, 0], [-UNSEEN, 0, UNSEEN])
    np.testing.assert_array_equal(codec.decode(z), np.full(3, constant))


def test_a_rare_flag_lies_at_most_twenty_deviations_away():
    cells = np.zeros(100_000)
    cells[0] = 1

    assert NumberCodec.fit(cells).encode(np.array([1.0]))[0, 0] == pytest.approx(20, abs=0.1)


def test_categories_are_the_centred_one_hot_of_a_naive_loop():
    cells = words(*"aaaaabbbccd")
    codec = CategoryCodec.fit(cells, max_categories=2)

    block = codec.encode(cells)

    shares = {"a": 5 / 11, "b": 3 / 11, "rare": 3 / 11}
    scale = np.sqrt(1 - sum(share**2 for share in shares.values()))
    for row, cell in zip(block, cells, strict=True):
        slot = cell if cell in shares else "rare"
        expected = [((name == slot) - share) / scale for name, share in shares.items()]
        np.testing.assert_allclose(row, [*expected, 0])
    assert codec.labels("x") == ["x = a", "x = b", "x is rare", "x is unseen"]
    assert codec.decode(block).tolist() == list("aaaaabbbccc")


def test_categories_have_unit_variance_in_total():
    cells = np.random.default_rng(0).choice(words(*"abcdefgh"), size=1000)

    block = CategoryCodec.fit(cells, max_categories=5).encode(cells)

    np.testing.assert_allclose(block.mean(axis=0), 0, atol=1e-12)
    assert block.var(axis=0).sum() == pytest.approx(1)


@pytest.mark.parametrize("cells", [words("a"), words("a", "b"), words(*["a", "b", "c"] * 40)])
def test_an_unseen_value_lights_its_own_slot_alone(cells):
    codec = CategoryCodec.fit(cells, max_categories=50)

    block = codec.encode(words("new"))

    assert block[0, -1] == UNSEEN
    assert not block[0, :-1].any()
    assert codec.decode(block)[0] == "a"


def test_where_new_values_keep_coming_a_new_one_is_rare():
    cells = words(*["often"] * 80, *(f"once {i}" for i in range(20)))
    codec = CategoryCodec.fit(cells, max_categories=50)

    new, known = codec.encode(words("new", "once 3"))

    np.testing.assert_array_equal(new, known)


def test_values_seen_once_get_a_slot_only_in_small_tables():
    assert CategoryCodec.fit(words(*"aab"), max_categories=50).values == ("a", "b")
    assert CategoryCodec.fit(words(*"a" * 99, "b"), max_categories=50).values == ("a",)


def test_many_distinct_values_are_fine():
    cells = pd.Series(np.arange(200_000) // 2).astype(str).to_numpy(dtype=object)

    codec = CategoryCodec.fit(cells, max_categories=50)

    assert codec.encode(cells).shape == (200_000, 52)
    assert len(codec.values) + len(codec.rare) == 100_000


def test_moments_have_a_trend_that_ends_with_training():
    cells = pd.date_range("2024-01-01", periods=101, freq="D").to_numpy("datetime64[ns]")
    codec = DatetimeCodec.fit(cells)
    late = np.array(["2023-01-01", "2030-01-01"], dtype="datetime64[ns]")

    trend = codec.encode(cells)[:, 0]

    days = np.arange(101)
    np.testing.assert_allclose(trend, (days - 50) / days.std())
    np.testing.assert_allclose(codec.encode(late)[:, 0], trend[[0, -1]])
    np.testing.assert_array_equal(codec.decode(codec.encode(late)), cells[[0, -1]])
    np.testing.assert_array_equal(codec.decode(codec.encode(cells)), cells)


@pytest.mark.parametrize(
    ("freq", "periods", "labels"),
    [
        ("D", 14, ["x trend"]),
        ("D", 15, ["x trend", "x weekday sin", "x weekday cos"]),
        ("37min", 30, ["x trend", "x hour sin", "x hour cos"]),
        (
            "37min",
            3000,
            ["x trend", "x hour sin", "x hour cos", "x weekday sin", "x weekday cos"],
        ),
    ],
)
def test_cycles_are_used_where_training_shows_them(freq, periods, labels):
    cells = pd.date_range("2024-01-01", periods=periods, freq=freq).to_numpy("datetime64[ns]")
    codec = DatetimeCodec.fit(cells)

    block = codec.encode(cells)

    assert codec.labels("x") == labels
    np.testing.assert_allclose(block.var(axis=0), 1)
    np.testing.assert_array_equal(codec.decode(block), cells)


def test_cycles_repeat_daily_and_weekly():
    cells = pd.date_range("2024-01-01", periods=3000, freq="37min").to_numpy("datetime64[ns]")
    codec = DatetimeCodec.fit(cells)
    monday, tuesday, next_monday = np.array(
        ["2024-01-01T05", "2024-01-02T05", "2024-01-08T05"], dtype="datetime64[ns]"
    )

    block = codec.encode(np.array([monday, tuesday, next_monday]))

    np.testing.assert_allclose(block[0, 1:3], block[1, 1:3])
    np.testing.assert_allclose(block[0, 1:], block[2, 1:])
    assert np.abs(block[0, 3:] - block[1, 3:]).max() > 0.5


@pytest.mark.parametrize("codec", [NumberCodec, DatetimeCodec])
def test_one_or_no_cell_is_enough_to_fit(codec):
    cells = np.array([5], dtype="datetime64[ns]" if codec is DatetimeCodec else float)

    for training in (cells, cells[:0]):
        assert np.isfinite(codec.fit(training).encode(cells)).all()
    assert CategoryCodec.fit(words(), max_categories=5).encode(words("a"))[0, -1] == UNSEEN


def test_ranks_are_normal_scores_whatever_the_distribution():
    rng = np.random.default_rng(0)
    skewed = rng.lognormal(sigma=3.0, size=5000)

    ranks = NumberCodec.fit(skewed).encode(skewed)[:, 1]

    assert stats.kstest(ranks, "norm").pvalue > 0.5
    assert (np.diff(ranks[np.argsort(skewed)]) >= 0).all()


def test_ranks_do_not_change_with_the_unit():
    rng = np.random.default_rng(1)
    cells, new = rng.normal(size=(2, 300))

    ranks = NumberCodec.fit(cells).encode(new)[:, 1]

    np.testing.assert_allclose(NumberCodec.fit(7 * cells + 3).encode(7 * new + 3)[:, 1], ranks)


def test_tied_cells_share_the_middle_of_their_ranks():
    cells = np.repeat([0.0, 1.0, 2.0], [900, 50, 50])

    ranks = NumberCodec.fit(cells).encode(np.array([0.0, 1.0, 2.0]))[:, 1]

    np.testing.assert_allclose(stats.norm.cdf(ranks), [0.45, 0.925, 0.975], atol=0.005)


def test_cells_outside_training_rank_beyond_all_others():
    codec = NumberCodec.fit(np.arange(100.0))

    ranks = codec.encode(np.array([-0.1, 0.0, 99.0, 99.1, 1e300]))[:, 1]

    np.testing.assert_allclose(
        ranks, [-codec.edge - 1.5, -codec.edge, codec.edge, codec.edge + 1.5, codec.edge + 1.5]
    )
    assert stats.norm.cdf(codec.edge) == pytest.approx(1 - 0.5 / 100)
