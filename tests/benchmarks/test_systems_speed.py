import pandas as pd
import pytest

from benchmarks.series import alarms
from benchmarks.systems import speed
from benchmarks.systems.speed import panel
from tests.settings import TINY_SERIES


@pytest.fixture
def run(tmp_path, capsys, fake):
    def call(name, *more):
        out = tmp_path / f"{name}.csv"
        speed.main(["--suite", name, "--out", str(out), *map(str, more)])
        return capsys.readouterr().out.splitlines()[-1], pd.read_csv(out)

    return call


def test_panels_are_long_frames_in_order():
    frame = panel(3, 50, 2)

    assert list(frame.columns) == ["series", "time", "c0", "c1"]
    assert frame[["series", "time"]].apply(tuple, axis=1).is_monotonic_increasing
    assert not frame.duplicated(["series", "time"]).any()


def test_a_panel_and_a_long_series_are_timed(run):
    sizes = ["--n-series", 3, "--n-steps", 50, "--n-channels", 2, "--n-long", 200]

    line, results = run("panel", *sizes)

    assert results["rows"].tolist() == [150, 200]
    assert line.startswith("panel 3 x 50 x 2: rows 150 fit s 0.0 ")
    assert " | long: rows 200 " in line


def test_a_stream_is_compared_with_the_batch(run):
    line, results = run("stream", "--n-steps", 20)

    assert results["step"].tolist() == list(range(20))
    assert (results["ms"] > 0).all()
    assert line.startswith("stream: steps 20, scored 20 | largest difference to batch 0.00e+00 |")


def test_alarms_are_counted_by_the_length_of_training():
    params = {**TINY_SERIES, "window_lengths": (8, 16)}

    rates = alarms.measure(1, 1, params, lengths=(300, 600), n_new=300)

    assert len(rates) == 3 * 2 * 2
    assert rates["rate"].between(0, 0.5).all()
    wide = rates.pivot_table("rate", ["shape", "n_train"], "alpha")
    assert (wide[0.05] >= wide[0.01]).all()
    assert alarms.summary(rates).endswith("series 6")
