"""Laws of the verdict store: it grows, keeps what it has, and silences the next night."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from anomdiff import TabularDetector, TimeSeriesDetector, cli
from anomdiff.jobs.errors import BusyError
from anomdiff.jobs.exit_codes import ExitCode, SettingsError
from anomdiff.jobs.feedback import describe, feedback
from anomdiff.jobs.feedback_settings import FeedbackSettings
from anomdiff.jobs.runs.locks import locked
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.verdict_store import OWN, as_table, merged
from tests.series import waves
from tests.settings import TINY, TINY_LONG
from tests.tables import mixed_table

pytestmark = pytest.mark.filterwarnings("ignore:columns")

NIGHT = date(2026, 1, 31)


@pytest.fixture(scope="module")
def detector():
    """A detector of a table; do not change it."""
    return TabularDetector(**TINY).fit(mixed_table(400, seed=0))


def _night(seed=1):
    frame = mixed_table(100, seed=seed).reset_index(names="sale")
    frame.loc[range(0, 60, 10), "price"] += [900, 300, 500, 700, 1500, 400]
    return frame


@pytest.fixture
def job(tmp_path, detector):
    """Run the job on a night and some verdicts, in a file of a kind."""

    def run(verdicts, night=None, suffix="csv", **more):
        night = _night() if night is None else night
        night.to_parquet(tmp_path / "night.parquet")
        path = tmp_path / f"verdicts.{suffix}"
        frame = pd.DataFrame(verdicts)
        if suffix == "csv":
            frame.to_csv(path, index=False)
        elif suffix == "jsonl":
            frame.to_json(path, orient="records", lines=True)
        else:
            frame.to_parquet(path)
        given = {"data": tmp_path / "night.parquet", "key": "sale", **more}
        settings = FeedbackSettings(verdicts=path, output=tmp_path / "store.parquet", **given)
        return feedback(settings, detector), settings.output

    return run


SOME = {"sale": ["sale-0", "sale-10", "sale-20", "sale-7"], "verdict": [1, "no", "confirmed", "fn"]}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_the_store_has_the_row_its_score_and_who_said_what(job, detector, suffix):
    frame = pd.DataFrame(SOME).astype({"verdict": str}).assign(by="ann")

    summary, path = job(frame, suffix=suffix, batch_date=NIGHT)

    store = pd.read_parquet(path)
    assert store["verdict_key"].tolist() == sorted(SOME["sale"])
    said = dict(zip(store["verdict_key"], store["verdict"], strict=True))
    assert [said[key] for key in SOME["sale"]] == [
        "confirmed", "false alarm", "confirmed", "missed",
    ]  # fmt: skip
    assert set(store["verdict_by"]) == {"ann"}
    assert set(store["verdict_batch"]) == {"2026-01-31"}
    rows = _night().set_index("sale").loc[store["verdict_key"]]
    scored = detector.score_frame(_night().drop(columns="sale")).set_axis(_night()["sale"])
    own = scored.loc[store["verdict_key"]]
    assert store["verdict_score"].tolist() == own["anomaly_score"].tolist()
    assert store["verdict_p_value"].tolist() == own["p_value"].tolist()
    assert store["verdict_flagged"].tolist() == own["is_anomaly"].tolist()
    for name in detector.columns_:
        pd.testing.assert_series_equal(
            store[name], rows[name].reset_index(drop=True), check_dtype=False
        )
    flagged = own["is_anomaly"]
    assert flagged[["sale-0", "sale-10", "sale-20"]].all()
    assert not flagged["sale-7"]
    assert summary["precision"] == {"all": 2 / 3}
    assert (summary["confirmed"], summary["false_alarms"], summary["missed"]) == (2, 1, 1)
    assert (summary["verdicts"], summary["not_found"], summary["muting"]) == (4, 0, 1)
    assert json.loads(path.with_name("store.summary.json").read_text()) == summary


def test_a_second_run_and_another_order_change_nothing(job):
    _, path = job(SOME)
    first = pd.read_parquet(path)

    job(pd.DataFrame(SOME).iloc[::-1])

    pd.testing.assert_frame_equal(pd.read_parquet(path), first)


def test_the_store_grows_and_a_changed_verdict_replaces_its_own(job):
    job(SOME, batch_date=NIGHT)
    changed = {"sale": ["sale-10", "sale-30"], "verdict": ["yes", "no"]}

    summary, path = job(changed, batch_date=NIGHT)
    other, _ = job({"sale": ["sale-10"], "verdict": ["no"]}, batch_date=date(2026, 2, 1))

    store = pd.read_parquet(path).set_index(["verdict_batch", "verdict_key"])
    assert (summary["stored"], other["stored"]) == (5, 6)
    assert store.loc[("2026-01-31", "sale-10"), "verdict"] == "confirmed"
    assert store.loc[("2026-02-01", "sale-10"), "verdict"] == "false alarm"
    assert store.loc[("2026-01-31", "sale-0"), "verdict"] == "confirmed"


def test_a_store_that_another_run_writes_is_left_to_it(job, tmp_path):
    first, path = job({"sale": ["sale-0"], "verdict": ["no"]})
    before = path.read_bytes()

    with locked(path), pytest.raises(BusyError, match="another one does right now"):
        job({"sale": ["sale-10"], "verdict": ["no"]})

    assert path.read_bytes() == before
    again, _ = job({"sale": ["sale-10"], "verdict": ["no"]})
    assert (first["stored"], again["stored"]) == (1, 2)


def test_rows_that_nobody_judged_and_keys_without_a_row_are_counted(job):
    verdicts = {"sale": ["sale-0", "sale-1", "nowhere"], "verdict": ["yes", None, "no"]}

    summary, path = job(verdicts)

    assert (summary["verdicts"], summary["not_found"]) == (2, 1)
    assert f"1 without a row ({summary['not_found_keys'][0]!r})\n" in describe(summary)
    assert pd.read_parquet(path)["verdict_key"].tolist() == ["sale-0"]


def test_of_an_alarm_table_of_several_nights_those_of_the_batch_count(job):
    nights = ["2026-01-30", "2026-01-31", "2026-01-31"]
    verdicts = {"row": [3, 3, 10], "verdict": ["no", "yes", "yes"], "batch_date": nights}

    _, path = job(verdicts, key=(), batch_date=NIGHT)

    store = pd.read_parquet(path)
    assert store["verdict_key"].tolist() == ["10", "3"]
    assert store["verdict"].tolist() == ["confirmed"] * 2
    assert store["price"].tolist() == _night()["price"].iloc[[10, 3]].tolist()


@pytest.mark.parametrize(
    ("verdicts", "more", "sentence"),
    [
        ({"sale": ["sale-0"], "verdict": ["maybe"]}, {}, "need the verdicts 'false alarm'"),
        ({"sale": ["sale-0"], "verdict": [None]}, {}, "need verdicts in column 'verdict'"),
        ({"sale": ["s"], "verdict": ["no"]}, {}, "need the judged rows in .*; none of the 1 keys"),
        ({"sale": ["sale-0"] * 2, "verdict": ["no", "yes"]}, {}, "need one verdict for each row"),
        ({"sale": ["sale-0"]}, {}, r"need columns \['verdict'\]"),
        ({"kind": ["book"], "verdict": ["no"]}, {"key": "kind"}, "need keys that tell rows apart"),
        (SOME, {"output": "store.csv"}, "need an output named .parquet"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(job, tmp_path, verdicts, more, sentence):
    if "output" in more:
        settings = FeedbackSettings(verdicts="v.csv", data="d.csv", output="store.csv")
        with pytest.raises(SettingsError, match=sentence):
            feedback(settings)
        return
    with pytest.raises(ValueError, match=sentence):
        job(verdicts, **more)

    assert not (tmp_path / "store.parquet").exists()


def test_a_model_of_series_is_refused(tmp_path):
    detector = TimeSeriesDetector(**TINY_LONG).fit(waves(400, seed=0))
    pd.DataFrame({"row": [1], "verdict": ["no"]}).to_csv(tmp_path / "v.csv")
    paths = {"verdicts": tmp_path / "v.csv", "data": tmp_path / "v.csv"}

    with pytest.raises(SettingsError, match="need a model of single rows for feedback"):
        feedback(FeedbackSettings(**paths, output=tmp_path / "store.parquet"), detector)


def test_merging_does_not_depend_on_types_that_change_between_nights():
    own = dict.fromkeys(OWN, "x")
    one = pd.DataFrame([{**own, "verdict_key": "a", "code": 7, "price": 1.5}])
    two = pd.DataFrame([{**own, "verdict_key": "b", "code": "0X", "size": 2}])

    both = [as_table(merged(*pair)).to_pandas() for pair in ((one, two), (two, one))]

    assert both[0]["code"].tolist() == ["7", "0X"]
    assert both[0]["price"].tolist()[0] == 1.5
    pd.testing.assert_frame_equal(both[0], both[1][list(both[0])], check_dtype=False)


def _scored(folder, detector, night, name, **more):
    night.to_parquet(folder / "tonight.parquet")
    settings = ScoreSettings(
        data=folder / "tonight.parquet",
        output=folder / f"{name}-out.parquet",
        alarms=folder / f"{name}.parquet",
        key="sale",
        batch_date=NIGHT,
        **more,
    )
    return score(settings, detector), pd.read_parquet(settings.alarms).set_index("sale")


@pytest.mark.parametrize("batch_size", [30, 1000])
def test_copies_of_a_false_alarm_stay_quiet_and_those_of_a_confirmed_one_are_raised(
    job, tmp_path, detector, batch_size
):
    _, store = job(SOME)
    night = _night()
    _, before = _scored(tmp_path, detector, night, "before")

    summary, after = _scored(
        tmp_path, detector, night, "after", feedback=store, batch_size=batch_size
    )

    assert set(before.index) == set(after.index)
    assert after.loc["sale-10", "muted_by"] == "verdict sale-10"
    assert after.loc["sale-10", "verdict_distance"] == 0
    assert after.index[-1] == "sale-10"
    for key in ("sale-0", "sale-20"):
        line = after.loc[key]
        assert line["muted_by"] == ""
        assert line["nearest_verdict"] == f"confirmed: {key}"
        assert line["priority"] == pytest.approx((100 + line["severity"]) / 2)
    assert summary["alarms_muted"] == {"feedback": 1}
    assert summary["feedback"]["verdicts"] == 4
    assert after["priority"][:-1].is_monotonic_decreasing
    shared = list(before)
    pd.testing.assert_frame_equal(after.loc[before.index, shared], before)
    files = [pd.read_parquet(tmp_path / f"{name}-out.parquet") for name in ("before", "after")]
    pd.testing.assert_frame_equal(*files)


def test_a_rule_comes_before_a_verdict_and_the_budget_last(job, tmp_path, detector):
    _, store = job(SOME)
    rule = {"where": {"sale": "sale-0"}, "mute_until": "2026-02-01"}

    summary, table = _scored(
        tmp_path, detector, _night(), "all", feedback=store, rules=[rule], most_alarms=2
    )

    assert table.loc["sale-0", "muted_by"] == "rule 1"
    free = table[table["muted_by"].isin(["", "most_alarms"])]
    assert table["muted_by"].eq("").sum() == 2
    assert set(free["priority"].nlargest(2).index) == set(table.index[:2])
    counts = summary["alarms_muted"]
    assert (counts["rule 1"], counts["feedback"]) == (1, 1)
    assert counts["most_alarms"] == len(table) - 4


def test_a_store_that_is_not_there_or_another_file_is_told(tmp_path, detector):
    with pytest.raises(FileNotFoundError, match="need a verdict store at .*; there is no such"):
        _scored(tmp_path, detector, _night(), "x", feedback=tmp_path / "no.parquet")
    _night().to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="its columns .* are missing: name the file"):
        _scored(tmp_path, detector, _night(), "x", feedback=tmp_path / "rows.parquet")


def test_a_model_with_another_column_reads_the_store_all_the_same(job, tmp_path):
    _, store = job(SOME)
    night = _night().assign(extra=np.arange(100.0) % 7)
    other = TabularDetector(**TINY).fit(
        mixed_table(400, seed=0).drop(columns="gift").assign(extra=np.arange(400.0) % 7)
    )

    summary, table = _scored(tmp_path, other, night, "other", feedback=store)

    assert summary["feedback"]["verdicts"] == 4
    assert table["priority"].notna().all()


def test_verdicts_in_the_alarm_table_silence_the_next_night_from_the_command_line(mlflow_store):
    mixed_table(400, seed=0).to_csv("history.csv", index=False)
    _night().to_csv("tonight.csv", index=False)
    sizes = ["--set", "detector.max_iter=20", "--set", "detector.width=16"]
    files = ["--data", "tonight.csv", "--key", "sale"]
    _run("train", "--data", "history.csv", *sizes, "--set", "detector.random_state=0")
    _run("score", *files, "--output", "a.parquet", "--alarms", "alarms.csv")
    alarms = pd.read_csv("alarms.csv")
    alarms.assign(verdict=["false alarm", "confirmed"] + [""] * (len(alarms) - 2)).to_csv(
        "judged.csv", index=False
    )

    said = _run("feedback", *files, "--verdicts", "judged.csv", "--output", "store.parquet")
    again = _run("feedback", *files, "--verdicts", "judged.csv", "--output", "store.parquet")
    _run(
        *("score", *files, "--output", "b.parquet", "--alarms", "quiet.csv"),
        *("--feedback", "store.parquet", "--most-alarms", "1"),
    )

    assert said == again
    assert "verdicts   2: 1 confirmed, 1 false alarms; 0 without a row\n" in said
    assert "precision  of judged alarms: 50.0% of all\n" in said
    quiet = pd.read_csv("quiet.csv", keep_default_na=False).set_index("sale")
    day = alarms["batch_date"][0]
    name = alarms["sale"][0]
    assert quiet.loc[name, "muted_by"] == f"verdict {name} of {day}"
    assert quiet.index[0] == alarms["sale"][1]
    assert (quiet["muted_by"] == "").sum() == 1


def test_without_a_model_the_exit_code_says_so(mlflow_store):
    Path("v.csv").write_text("row,verdict\n1,no\n")
    given = ["--verdicts", "v.csv", "--data", "v.csv", "--output", "s.parquet"]

    result = CliRunner().invoke(cli.main, ["feedback", *given])

    assert result.exit_code == ExitCode.MODEL
    assert "Train one with `anomdiff train`" in result.output


def _run(*words):
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 0, result.output
    return result.stdout
