"""Laws of an assistant's tools: they read one folder, write where told, hide what is private."""

import asyncio
import json

import pandas as pd
import pytest
from mcp import Client

import anomdiff
from anomdiff.jobs.mcp import Tools, server
from tests.series import panel
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model of a table, one of series, and rows for both."""
    folder = tmp_path_factory.mktemp("assistant")
    rows = mixed_table(200, seed=1)
    rows.iloc[7, rows.columns.get_loc("price")] = 1e6
    rows.to_csv(folder / "rows.csv", index=False)
    steps = panel(200, seed=7)
    steps.loc[40:43, steps.columns[1]] += 50.0
    steps.to_csv(folder / "steps.csv", index=False)
    table = anomdiff.TabularDetector(**TINY, alpha=0.05).fit(mixed_table(400, seed=0))
    series = anomdiff.TimeSeriesDetector(**TINY_SERIES, series="host", time="time")
    anomdiff.save(table, folder / "table")
    anomdiff.save(series.fit(panel(300, seed=0)), folder / "series")
    return folder


def call(tools, name, **arguments):
    """Answer of a tool, as a client gets it: JSON, or the sentence of an error."""

    async def ask():
        async with Client(server(tools)) as client:
            answer = await client.call_tool(name, arguments)
            return answer.is_error, answer.content[0].text

    failed, text = asyncio.run(ask())
    return text if failed else json.loads(text)


def names(tools):
    async def ask():
        async with Client(server(tools)) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    return asyncio.run(ask())


@pytest.mark.parametrize(("model", "data"), [("table", "rows.csv"), ("series", "steps.csv")])
def test_the_alarms_of_a_file_are_those_of_the_model(folder, model, data):
    detector = anomdiff.load(folder / model)
    scored = detector.score_frame(pd.read_csv(folder / data, parse_dates=_dates(detector)))

    answer = call(Tools(str(folder / model), folder), "score_file", path=data, limit=3)

    assert (answer["rows"], answer["alarms"]) == (len(scored), int(scored["is_anomaly"].sum()))
    assert len(answer["worst"]) == 3
    worst = answer["worst"][0]
    assert worst["anomaly_score"] == pytest.approx(scored["anomaly_score"].max())
    assert "expected" in worst["reasons"]


def _dates(detector):
    if detector.unit == "step":
        return ["time"]
    return [column.name for column in detector.schema_.used if column.kind == "datetime"]


def test_private_columns_are_named_without_their_values(folder):
    tools = Tools(str(folder / "table"), folder, redacted=("price",))

    alarms = call(tools, "score_file", path="rows.csv", limit=1)
    rows = call(tools, "explain_rows", path="rows.csv", rows=[7], top=8)

    shown = json.dumps([alarms, rows])
    assert "price" in shown
    assert "redacted" in shown
    assert "1000000" not in shown
    price = next(each for each in rows["contributions"] if each["column"] == "price")
    assert (price["value"], price["low"], price["high"]) == ("redacted", None, None)


def test_a_model_is_described(folder):
    answer = call(Tools(str(folder / "table"), folder), "inspect_model")

    assert answer["alpha"] == 0.05
    assert {"name": "price", "kind": "number"} in answer["columns"]


@pytest.mark.parametrize("path", ["../outside.csv", "/etc/passwd", "link.csv"])
def test_files_outside_the_folder_are_not_read(folder, path):
    (folder.parent / "outside.csv").write_text("a\n1\n")
    if not (folder / "link.csv").is_symlink():
        (folder / "link.csv").symlink_to(folder.parent / "outside.csv")

    answer = call(Tools(str(folder / "table"), folder), "score_file", path=path)

    assert "within the folder" in answer


def test_nothing_is_written_unless_a_folder_is_given(folder, tmp_path):
    tools = Tools(str(folder / "table"), folder, tmp_path)

    assert "score_to_file" not in names(Tools(str(folder / "table"), folder))
    done = call(tools, "score_to_file", path="rows.csv", output="scored.csv")
    again = call(tools, "score_to_file", path="rows.csv", output="scored.csv")
    outside = call(tools, "score_to_file", path="rows.csv", output="../scored.csv")

    assert done["rows"] == len(pd.read_csv(tmp_path / "scored.csv")) == 200
    assert "there already" in again
    assert "within the folder" in outside


def test_a_threshold_is_previewed_on_a_scored_file(folder, tmp_path):
    detector = anomdiff.load(folder / "table")
    detector.score_frame(mixed_table(300, seed=2)).to_csv(folder / "scored.csv", index=False)

    answer = call(
        Tools(str(folder / "table"), folder), "preview_threshold", path="scored.csv", alarms=8
    )

    assert all(each["threshold"] > 0 for each in answer["thresholds"])
    assert max(each["alarms"] for each in answer["thresholds"]) <= 32


def test_what_is_wrong_is_one_sentence_without_a_stack_trace(folder):
    answer = call(Tools(str(folder / "table"), folder), "explain_rows", path="rows.csv", rows=[999])

    assert answer.endswith(": need --row from 0 to 199; got [999].")
    assert "\n" not in answer
