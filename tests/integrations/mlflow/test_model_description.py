import numpy as np
import pandas as pd

from anomdiff import TabularDetector
from anomdiff.integrations.mlflow.model_description import described
from tests.settings import TINY

DIGEST = "0123456789abcdef"


def test_a_table_is_described_by_its_rows_columns_and_alarms(tiny, table):
    lines = described(tiny, table, "sales.csv", DIGEST).splitlines()

    assert lines[0].startswith("**TabularDetector**, fitted 2")
    assert lines[1] == f"- learned from {len(table)} rows of sales\\.csv, digest `{DIGEST[:12]}`"
    told = "\n".join(lines)
    for column in tiny.schema_.columns:
        line = next(line for line in lines if str(column.name) in line)
        assert line.startswith(f"- {column.kind}: ")
    assert f"- alpha {tiny.alpha:g}: of new normal rows " in told
    assert f"{len(tiny.calibration_scores_):,} calibration rows" in told


def test_a_panel_is_described_by_its_channels(long):
    lines = described(long, pd.DataFrame(index=range(400)), None, DIGEST).splitlines()

    assert f"- channels: {', '.join(map(str, long.model_.names))}" in lines
    assert "- series and time: host, time" in lines


def test_names_of_columns_cannot_be_markdown_and_long_lists_are_cut():
    rng = np.random.default_rng(0)
    names = ["[click](http://x)", "<b>bold</b>", *(f"c{i}" for i in range(40))]
    frame = pd.DataFrame(rng.normal(size=(120, len(names))), columns=names)
    detector = TabularDetector(**TINY).fit(frame)

    text = described(detector, frame, None, DIGEST)

    assert "\\[click\\]\\(http://x\\), \\<b\\>bold\\</b\\>" in text
    assert text.count("c3") <= 1 + len("c30 c31 c32 c33 c34 c35 c36 c37 c38 c39".split())
    assert "and 12 more" in text
