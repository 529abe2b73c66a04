import numpy as np
import pandas as pd
import pytest

import anomdiff
from anomdiff.metrics.detection import auroc, average_precision
from tests.series import panel
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table


@pytest.fixture(scope="module")
def fitted():
    return anomdiff.TabularDetector(**TINY, alpha=0.05).fit(mixed_table(400, seed=0))


@pytest.fixture(scope="module")
def batch():
    frame = mixed_table(200, seed=1).set_axis([f"row {i // 2}" for i in range(200)])
    frame.iloc[[3, 50], frame.columns.get_loc("price")] = [1e5, 1e6]
    return frame


@pytest.fixture(scope="module")
def truth():
    return np.isin(np.arange(200), [3, 50])


def test_alarms_are_the_flagged_rows_the_worst_first_with_their_cells(fitted, batch):
    scored = fitted.score_frame(batch)

    alarms = fitted.alarms(batch, top=2)

    assert len(alarms) == scored["is_anomaly"].sum()
    assert alarms["anomaly_score"].is_monotonic_decreasing
    assert sorted(alarms["anomaly_score"]) == sorted(
        scored.loc[scored["is_anomaly"].to_numpy(), "anomaly_score"]
    )
    assert (alarms["severity"] >= 50).all()
    assert list(alarms.columns[: batch.shape[1]]) == list(batch.columns)
    assert set(alarms["price"].head(2)) == {1e5, 1e6}


def test_reasons_name_the_column_that_was_changed_also_where_labels_repeat(fitted, batch):
    alarms = fitted.alarms(batch, limit=2)

    assert len(alarms) == 2
    assert all("price" in reason and "expected" in reason for reason in alarms["reasons"])


def test_alarms_of_series_are_the_flagged_steps():
    detector = anomdiff.TimeSeriesDetector(**TINY_SERIES, series="host", time="time")
    detector.fit(panel(300, seed=0))
    batch = panel(200, seed=7)
    name = detector.model_.names[0]
    batch.loc[40:43, name] += 50.0
    scored = detector.score_frame(batch)

    alarms = detector.alarms(batch)

    assert len(alarms) == min(scored["is_anomaly"].sum(), 100) > 0
    assert alarms["reasons"].head(4).str.contains(name).all()


def test_without_alarms_the_list_is_empty_and_has_its_columns(fitted):
    quiet = mixed_table(400, seed=0).head(5)
    detector = anomdiff.TabularDetector(**TINY).fit(mixed_table(400, seed=0))

    assert list(detector.alarms(quiet).columns[-4:]) == [
        "anomaly_score",
        "p_value",
        "severity",
        "reasons",
    ]


@pytest.mark.parametrize(("wrong", "word"), [({"top": 0}, "top"), ({"limit": 0}, "limit")])
def test_counts_below_one_are_refused(fitted, batch, wrong, word):
    with pytest.raises(ValueError, match=word):
        fitted.alarms(batch, **wrong)


def test_columns_named_like_the_answers_are_refused(fitted, batch):
    with pytest.raises(ValueError, match="severity"):
        fitted.alarms(batch.assign(severity=1))


def test_figures_are_those_of_the_metrics(fitted, batch, truth):
    scored = fitted.score_frame(batch)
    flagged = scored["is_anomaly"].to_numpy()

    found = fitted.evaluate(batch, truth.astype(int))

    assert found["auroc"] == auroc(truth, scored["anomaly_score"])
    assert found["average_precision"] == average_precision(truth, scored["anomaly_score"])
    assert found["recall"] == flagged[truth].mean()
    assert found["precision"] == truth[flagged].mean()
    assert found["false_alarms"] == flagged[~truth].mean()
    assert (found["rows"], found["anomalies"], found["alarms"]) == (200, 2, flagged.sum())


@pytest.mark.parametrize("wrong", [[True], [2] * 200, ["yes"] * 200, [False] * 200, [-1, 1] * 100])
def test_truth_of_another_kind_is_refused(fitted, batch, wrong):
    with pytest.raises(ValueError, match="need"):
        fitted.evaluate(batch, wrong)


def test_a_notebook_shows_a_short_summary_and_escapes_names(batch):
    frame = mixed_table(400, seed=0).rename(columns={"price": "<script>alert(1)</script>"})
    frame["number"] = np.arange(400)
    detector = anomdiff.TabularDetector(**TINY)
    unfitted = detector._repr_html_()

    shown = detector.fit(frame)._repr_html_()

    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert" in shown
    assert "alpha 0.01" in shown.split("<details>")[0]
    assert "number: " in shown.split("<details>")[0]  # an ignored column, and why
    assert len(shown.split("<details>")[0]) < 4000
    assert unfitted == anomdiff.TabularDetector(**TINY)._repr_html_() or "<table" in unfitted


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        ("contamination", "alpha"),
        ("decision_scores_", "calibration_scores_"),
        ("labels_", "screen"),
    ],
)
def test_words_of_other_libraries_say_what_is_meant(fitted, word, instead):
    with pytest.raises(AttributeError, match=instead):
        getattr(fitted, word)
    assert not hasattr(fitted, word)


def test_the_schema_is_a_frame_of_its_columns(fitted):
    frame = fitted.schema_.to_frame()

    assert frame.index.tolist() == [column.name for column in fitted.schema_.columns]
    assert frame.loc["price", "kind"] == "number"
    assert pd.Series(frame["ignored"]).astype(bool).equals(frame["kind"] == "ignored")
