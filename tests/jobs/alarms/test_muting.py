"""Laws of rules, verdicts and budget: what they mute stays in the table, and lines add up."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from anomdiff import TimeSeriesDetector
from anomdiff.jobs.alarm_rules import AlarmRule, in_scope
from anomdiff.jobs.alarms.muting import BUDGET, FEEDBACK, Muting
from anomdiff.jobs.exit_codes import SettingsError
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings
from tests.series import panel
from tests.settings import TINY_SERIES
from tests.tables import mixed_table

NIGHT = date(2026, 1, 31)
OWN = ["muted_by", "priority", "nearest_verdict", "verdict_distance"]


@pytest.fixture(scope="module")
def night():
    """A night of sales, ten of them with another price, with a key and a shop."""
    frame = mixed_table(200, seed=1).reset_index(names="sale")
    frame.loc[range(0, 50, 10), "price"] += [900, 300, 500, 700, 1500]
    frame.loc[range(100, 150, 10), "price"] -= [900, 300, 500, 700, 1500]
    return frame.assign(shop=np.where(frame.index % 20 == 0, "007", "8"))


@pytest.fixture
def alarms(tmp_path, detector, night):
    """The alarm table of the night with some settings, and the summary."""

    def make(name="alarms", **more):
        night.to_parquet(tmp_path / "in.parquet")
        given = {"key": "sale", "batch_date": NIGHT, "alarms": tmp_path / f"{name}.parquet"}
        settings = ScoreSettings(
            data=tmp_path / "in.parquet", output=tmp_path / f"{name}-out.parquet", **given | more
        )
        summary = score(settings, detector)
        return pd.read_parquet(settings.alarms), summary

    return make


@pytest.mark.filterwarnings("ignore:columns")
def test_rules_change_nothing_but_the_order_and_their_own_column(alarms, tmp_path):
    plain, without = alarms("plain")
    ruled, summary = alarms("ruled", rules=[{"where": {"shop": 7}, "mute_until": "2026-03-01"}])

    assert "muted_by" not in plain
    assert "alarms_muted" not in without
    columns = [name for name in ruled if name not in OWN]
    assert columns == list(plain)
    pd.testing.assert_frame_equal(
        ruled[columns].sort_values("row", ignore_index=True),
        plain.sort_values("row", ignore_index=True),
    )
    scored = [pd.read_parquet(tmp_path / f"{name}-out.parquet") for name in ("plain", "ruled")]
    pd.testing.assert_frame_equal(*scored)
    assert summary["alarms"] == without["alarms"] == len(plain)
    assert plain["severity"].is_monotonic_decreasing


@pytest.mark.filterwarnings("ignore:columns")
@pytest.mark.parametrize("batch_size", [30, 1000])
def test_what_is_muted_stands_last_and_all_lines_are_counted(alarms, night, batch_size):
    rules = [
        {"name": "repairs", "where": {"shop": "7"}, "mute_until": "2026-03-01"},
        {"column": "price", "direction": "above"},
    ]

    table, summary = alarms(rules=rules, most_alarms=3, batch_size=batch_size)

    muted = table["muted_by"] != ""
    assert muted.is_monotonic_increasing
    for part in (table[~muted], table[muted]):
        assert part["severity"].is_monotonic_decreasing
    assert (~muted).sum() == 3
    counts = summary["alarms_muted"]
    assert counts == table["muted_by"][muted].value_counts().to_dict()
    assert set(counts) == {"repairs", "rule 2", BUDGET}
    assert sum(counts.values()) + 3 == len(table) == summary["alarm_table_rows"]
    in_shop = table["sale"].isin(night.loc[night["shop"] == "007", "sale"])
    assert in_shop.equals(table["muted_by"] == "repairs")
    own = table[table["muted_by"] == "rule 2"]
    assert (own["reason_1_column"] == "price").all()
    assert (own["reason_1_value"].astype(float) <= own["reason_1_expected"].astype(float)).all()


@pytest.mark.filterwarnings("ignore:columns")
@pytest.mark.parametrize("most", [0, 1, 4, 1000])
def test_the_budget_keeps_the_most_severe(alarms, most):
    table, summary = alarms(most_alarms=most)

    kept = table["severity"].nlargest(most)
    assert table["muted_by"].eq("").sum() == len(kept) == min(most, len(table))
    assert set(table[table["muted_by"] == ""].index) == set(kept.index)
    assert summary["alarms_muted"] == ({BUDGET: len(table) - most} if most < len(table) else {})


@pytest.mark.parametrize(("days", "mutes"), [(-1, False), (0, False), (1, True), (400, True)])
def test_there_are_alarms_again_on_the_day_that_they_are_muted_until(days, mutes):
    rule = AlarmRule(mute_until=NIGHT + timedelta(days=days))

    settled = _settled(_lines(), [rule])

    assert settled["muted_by"].tolist() == (["rule 1"] * 4 if mutes else [""] * 4)


@pytest.mark.parametrize(
    ("rule", "muted"),
    [
        ({"direction": "above"}, [False, True, False, False]),
        ({"direction": "below"}, [True, False, True, False]),
        ({"smallest_change": 5.0}, [False, False, True, False]),
        ({"smallest_change": 5.01}, [False, True, True, False]),
        ({"smallest_change": 2.0}, [False, False, False, False]),
        ({"smallest_change": 6, "direction": "above"}, [False, True, True, False]),
        ({"smallest_change": 1e9, "where": {"shop": "b"}}, [False, False, True, False]),
    ],
)
def test_a_rule_of_a_column_looks_at_value_and_expectation_of_the_first_reason(rule, muted):
    settled = _settled(_lines(), [AlarmRule(column="price", **rule)])

    assert settled.sort_index()["muted_by"].tolist() == ["rule 1" if m else "" for m in muted]


@pytest.mark.parametrize("blank", ["reason_1_value", "reason_1_expected"])
def test_what_is_not_known_mutes_nothing(blank):
    lines = _lines().assign(**{blank: None})

    settled = _settled(lines, [AlarmRule(column="price", smallest_change=1e9)])

    assert settled["muted_by"].eq("").all()


def test_the_first_rule_is_named():
    until = NIGHT + timedelta(days=1)
    rules = [AlarmRule(name="a", mute_until=NIGHT), AlarmRule(name="b", mute_until=until)]

    settled = _settled(_lines(), [*rules, AlarmRule(mute_until=until)])

    assert set(settled["muted_by"]) == {"b"}


def _lines():
    """Four alarms: price 9 above, 5 below and 2 above what is expected, and another column."""
    return pd.DataFrame(
        {
            "severity": [90.0, 80, 70, 60],
            "reason_1_column": ["price", "price", "price", "size"],
            "reason_1_value": ["19", "5", "12", "1"],
            "reason_1_expected": ["10", "10.0", "10", "50"],
            "shop": ["a", "a", "b", "b"],
        }
    )


def _settled(lines, rules, **more):
    muting = Muting(rules, more.pop("most_alarms", None), NIGHT, **more)
    return muting.settle(lines.join(muting.of_rows(lines[["shop"]], None)))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, [True] * 4),
        ({"a": "x"}, [True, True, False, False]),
        ({"a": "X ", "b": 7}, [True, False, False, False]),
        ({"a": ["x", "y"], "b": "7.0"}, [True, False, True, False]),
        ({"b": [7, "q"]}, [True, True, True, False]),
    ],
)
def test_a_scope_is_all_of_its_columns_and_any_of_their_values(where, expected):
    cells = pd.DataFrame({"a": ["x", "x", "y", None], "b": ["007", "Q", "7", None]})
    rule = AlarmRule(where=where, mute_until=NIGHT)

    assert in_scope(rule.where, cells).tolist() == expected


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ([{"where": {"shop": "a"}}], "need `mute_until`, `direction` or `smallest_change`"),
        ([{"direction": "above"}], "need `column` and `direction` or `smallest_change` together"),
        ([{"column": "price"}], "need `column` and `direction` or `smallest_change` together"),
        ([{"colum": "price"}], "unknown key 'rules.0.colum'; known keys are column, direction, "),
        ([{"mute_until": "soon"}], "'rules.0.mute_until': Input should be a valid date"),
        ([{"mute_until": NIGHT, "where": {"shop": []}}], "'rules.0.where.shop': "),
    ],
)
def test_a_mistake_in_a_rule_is_told_with_its_place(rules, sentence):
    given = {"data": "x.csv", "output": "y.parquet", "alarms": "z.csv", "rules": rules}

    with pytest.raises(SettingsError, match=sentence.replace("(", r"\(")):
        ScoreSettings.load(None, given)


@pytest.mark.parametrize(
    "given", [{"rules": [{"mute_until": NIGHT}]}, {"most_alarms": 1}, {"feedback": "f.parquet"}]
)
def test_what_mutes_needs_a_table_to_mute(given):
    with pytest.raises(SettingsError, match="need `alarms`, the table whose lines"):
        ScoreSettings.load(None, {"data": "x.csv", "output": "y.parquet", **given})


@pytest.mark.parametrize("names", [("a", "a"), (BUDGET,), (FEEDBACK,), ("verdict 7",)])
def test_rules_have_names_that_say_who_has_muted(names):
    with pytest.raises(SettingsError, match="need rules of different names"):
        Muting([AlarmRule(name=name, mute_until=NIGHT) for name in names], None, NIGHT)


@pytest.mark.filterwarnings("ignore:columns")
@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"column": "kind", "direction": "above"}, "need a column of numbers .* got 'kind'"),
        ({"where": {"town": 1}, "mute_until": NIGHT}, r"need columns \['town'\]"),
    ],
)
def test_a_rule_of_a_column_that_is_not_there_is_refused(alarms, rule, sentence):
    with pytest.raises(ValueError, match=sentence):
        alarms(rules=[rule])


@pytest.fixture(scope="module")
def of_series():
    """A detector of two series, and a night in which both are off; do not change them."""
    frame = panel(300, seed=0)
    detector = TimeSeriesDetector(series="host", time="time", **TINY_SERIES).fit(frame)
    night = panel(200, seed=1)
    channels = [name for name in night if name not in ("host", "time")]
    night.loc[night.groupby("host").cumcount().between(90, 110), channels[0]] += 30
    return detector, night


@pytest.fixture
def incidents(tmp_path, of_series):
    def make(**more):
        detector, night = of_series
        night.to_parquet(tmp_path / "in.parquet")
        alarms = tmp_path / f"{len(more)}.parquet"
        paths = {"data": tmp_path / "in.parquet", "output": tmp_path / "out.parquet"}
        settings = ScoreSettings(**paths, alarms=alarms, batch_date=NIGHT, overwrite=True, **more)
        return pd.read_parquet(settings.alarms) if score(settings, detector) else None

    return make


def test_incidents_of_a_series_are_muted_and_keep_their_ids(incidents, of_series):
    label = of_series[1]["host"].iloc[0]
    rule = {"where": {"host": label}, "mute_until": "2026-03-01"}

    plain, ruled = incidents(), incidents(rules=[rule])

    assert set(plain["series"].astype(str)) == set(of_series[1]["host"].astype(str))
    assert ruled["muted_by"].eq("rule 1").equals(ruled["series"] == label)
    assert ruled["muted_by"].ne("").is_monotonic_increasing
    assert set(ruled["incident_id"]) == set(plain["incident_id"])
    assert list(ruled.drop(columns="muted_by")) == list(plain)


def test_incidents_have_a_direction_too(incidents, of_series):
    channel = str(of_series[0].layout_.channels[0])

    table = incidents(rules=[{"column": channel, "direction": "below"}], most_alarms=1)

    own = table[table["reason_1_column"] == channel]
    above = own["reason_1_value"].astype(float) >= own["reason_1_expected"].astype(float)
    assert above.any()
    assert own["muted_by"].eq("rule 1").equals(above)


def test_incidents_have_no_column_but_that_of_their_series(incidents, of_series):
    channel = of_series[0].layout_.channels[0]

    with pytest.raises(SettingsError, match="need the column of series in `where` of a rule"):
        incidents(rules=[{"where": {channel: 1}, "mute_until": "2026-03-01"}])
