"""Columns that are no channels are refused in one sentence that says what to set."""

import pandas as pd
import pytest

from anomdiff.encoding.panel import PanelLayout

FRAME = pd.DataFrame({"x": range(20), "note": ["a", "b"] * 10})


def test_a_forgotten_column_of_time_is_told_with_the_parameter_that_names_it():
    frame = FRAME.drop(columns="note").assign(t=pd.date_range("2026-01-01", periods=20, freq="h"))

    with pytest.raises(ValueError, match=r"got dates in the columns \['t'\]: set time='t' if"):
        PanelLayout.infer(frame)

    assert PanelLayout.infer(frame, time="t").channels == ("x",)


def test_columns_of_text_are_told_with_the_parameter_that_leaves_them_out():
    with pytest.raises(
        ValueError, match=r"such as 'a' in column 'note', row 0: set drop=\['note'\]"
    ):
        PanelLayout.infer(FRAME)

    assert PanelLayout.infer(FRAME, drop=["note"]).channels == ("x",)
