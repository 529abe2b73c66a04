"""Columns and labels of all types through the served model, as ``as_input`` lays them out."""

import datetime
import uuid

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.types.schema import DataType

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.integrations.mlflow import flavor
from anomdiff.integrations.mlflow.pyfunc_model import PyfuncModel
from tests.settings import TINY, TINY_SERIES

N = 80


def served(detector, folder, example):
    flavor.save_model(detector, folder / "model", input_example=example)
    return mlflow.pyfunc.load_model(str(folder / "model"))


def all_types():
    rng = np.random.default_rng(0)
    hours, places = pd.date_range("2026-01-01", periods=N, freq="h"), rng.integers(0, 5, N)
    clock = [datetime.time(int(place), 30) for place in places]
    return pd.DataFrame(
        {
            "integer": places,
            "nullable": pd.array(places, dtype="Int64"),
            "category": pd.Categorical(rng.choice(["a", "b"], N)),
            "numbered": pd.Categorical(places),
            "interval": pd.cut(rng.normal(size=N), 3),
            "flag": rng.random(N) < 0.4,
            "flags": pd.array(rng.random(N) < 0.4, dtype="boolean"),
            "zoned": hours.tz_localize("Europe/Oslo"),
            "day": hours.to_period("D"),
            "span": pd.to_timedelta(places, "h"),
            "clock": pd.Series(clock, dtype=object),
            "single": rng.normal(size=N).astype("float32"),
        }
    )


def test_columns_of_all_types_are_scored_as_by_the_detector(tmp_path):
    rows = all_types()
    detector = TabularDetector(**TINY, alpha=0.1).fit(rows)
    model = served(detector, tmp_path, rows.head(3))

    answer = model.predict(flavor.as_input(detector, rows), params={"explain": True})

    wanted = detector.score_frame(rows)
    pd.testing.assert_frame_equal(answer[list(wanted)], wanted)


LABELS = {
    "floats": ([1.0, 2.0], DataType.double),
    "fractions": ([0.5, 2.0], DataType.double),
    "integers": ([1, 2], DataType.long),
    "integers of NumPy": ([np.int64(1), np.int64(2)], DataType.long),
    "dates": ([datetime.date(2026, 1, 1), datetime.date(2026, 1, 2)], DataType.string),
    "timestamps": (list(pd.date_range("2026-01-01", periods=2)), DataType.string),
    "identifiers": ([uuid.UUID(int=1), uuid.UUID(int=2)], DataType.string),
    "numbers and texts": ([1, "a"], DataType.string),
    "texts that look missing": (["NA", " a "], DataType.string),
}


@pytest.mark.parametrize(("labels", "kind"), LABELS.values(), ids=LABELS)
def test_series_are_found_by_labels_of_any_type(labels, kind):
    load = np.random.default_rng(0).normal(size=2 * N) * np.repeat([1, 30], N)
    ids = pd.Series([labels[0]] * N + [labels[1]] * N, dtype=object)
    rows = pd.DataFrame({"id": ids, "load": load})
    detector = TimeSeriesDetector(**TINY_SERIES, series="id").fit(rows)

    asked = flavor.as_input(detector, rows)
    answer = PyfuncModel(detector).predict(asked)

    assert flavor.infer_signature(detector).inputs.inputs[0].type == kind
    assert answer["anomaly_score"].equals(detector.score_frame(rows)["anomaly_score"])
    assert answer["id"].tolist() == asked["id"].tolist()


def test_a_series_that_training_did_not_show_stays_one():
    rows = pd.DataFrame({"id": [datetime.date(2026, 1, 1)] * N, "load": np.arange(N) % 7})
    detector = TimeSeriesDetector(**TINY_SERIES, series="id").fit(rows)
    new = rows.assign(id=datetime.date(2026, 1, 9))

    answer = PyfuncModel(detector).predict(flavor.as_input(detector, new))

    assert answer["anomaly_score"].equals(detector.score_frame(new)["anomaly_score"])


TIMES = pd.Series(pd.date_range("2026-01-01", periods=N, freq="h"))


@pytest.mark.parametrize(
    "times",
    [TIMES.dt.to_period("h"), TIMES - TIMES[0], TIMES.dt.tz_localize("Asia/Tokyo")],
    ids=["periods", "durations", "zoned timestamps"],
)
def test_times_of_a_column_are_served(times):
    rows = pd.DataFrame({"t": times, "load": np.sin(np.arange(N))})
    detector = TimeSeriesDetector(**TINY_SERIES, time="t").fit(rows)

    answer = PyfuncModel(detector).predict(flavor.as_input(detector, rows[::-1]))

    wanted = detector.score_frame(rows)["anomaly_score"]
    assert answer["anomaly_score"].sort_index().equals(wanted)


def test_spelled_numbers_and_dates_are_scored_as_by_the_detector(tmp_path):
    rng = np.random.default_rng(0)
    amounts, days = rng.lognormal(7, 1, N), pd.date_range("2026-01-01", periods=N, freq="5h")
    rows = pd.DataFrame(
        {
            "amount": [f"{a:,.2f}".translate(str.maketrans(",.", ".,")) for a in amounts],
            "day": days.strftime("%d/%m/%Y %H:%M"),
            "level": np.where(np.arange(N) % 9 == 0, -999.0, rng.normal(size=N)),
        }
    )
    detector = TabularDetector(**TINY, alpha=0.1, missing_values={"level": -999}).fit(rows)
    model = served(detector, tmp_path, rows.head(3))
    rows.loc[5, "amount"] = "ERR"

    with pytest.warns(UserWarning, match="'ERR', first in row 5"):
        answer = model.predict(flavor.as_input(detector, rows))

    wanted = detector.score_frame(rows)["anomaly_score"]
    np.testing.assert_allclose(answer["anomaly_score"], wanted, atol=1e-6)


@pytest.mark.parametrize("zone", ["Europe/Berlin", None])
def test_a_served_calendar_goes_by_the_zone_of_training(tmp_path, zone):
    hours = pd.date_range("2025-03-03", periods=24 * 28, freq="h", tz=zone)
    noise = np.random.default_rng(0).normal(0, 0.5, len(hours))
    rows = pd.DataFrame({"t": hours, "load": 10.0 * (hours.hour > 7) + noise})
    rows.loc[500:510, "load"] += 20
    detector = TimeSeriesDetector(time="t", calendar=["hour"], **TINY_SERIES).fit(rows[:400])
    model = served(detector, tmp_path, rows.head(30))
    request = flavor.as_input(detector, rows)

    answer = model.predict(request, params={"explain": True})

    wanted = detector.score_frame(rows)
    assert wanted["is_anomaly"].any()
    pd.testing.assert_series_equal(answer["anomaly_score"], wanted["anomaly_score"])
    assert answer["t"].equals(request["t"])
    first = next(reasons[0] for reasons in answer["reasons"] if reasons)
    assert "+" not in str(first["start"])
