import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.series.faults import FAULTS, SERIES, Fault, faults, judge, main, named
from tests.settings import TINY_SERIES

FAULT = Fault("shift", np.zeros((100, 2)), 40, 60, 1)


def frames(flagged, segments, peak=50, channel=1):
    scored = pd.DataFrame({"anomaly_score": 0.0, "is_anomaly": False, "channel": 0}, range(100))
    scored.loc[[*flagged], "is_anomaly"] = True
    scored.loc[peak, ["anomaly_score", "channel"]] = 1.0, channel
    return scored, pd.DataFrame(segments, columns=["start", "end"])


def test_a_fault_that_is_flagged_as_it_is_overlaps_wholly():
    assert judge(*frames(range(40, 60), [(40, 59)]), FAULT) == (True, 1.0, 0.0, True, 0)


def test_what_is_flagged_outside_is_counted_in_steps_and_segments():
    flagged = [*range(10, 14), *range(50, 70)]

    found = judge(*frames(flagged, [(10, 13), (50, 69)]), FAULT)

    assert found == (True, pytest.approx(10 / 30), pytest.approx(14 / 80), True, 1)


def test_a_segment_that_ends_where_the_fault_starts_is_outside():
    assert judge(*frames(range(30, 40), [(30, 39)]), FAULT) == (False, 0.0, 0.125, True, 1)


def test_without_segments_nothing_is_found_and_overlaps():
    found, overlap, outside, _, beside = judge(*frames([], np.zeros((0, 2), dtype=int)), FAULT)

    assert (found, overlap, outside, beside) == (False, 0.0, 0.0, 0)


def test_the_channel_is_that_of_the_highest_score_within_the_fault():
    scored, segments = frames(range(40, 60), [(40, 59)], channel=0)
    scored.loc[80, ["anomaly_score", "channel"]] = 9.0, 1

    assert judge(scored, segments, FAULT)[3] is False


@pytest.mark.parametrize(
    ("segments", "kind"),
    [
        ([(10, 30, "noise"), (41, 45, "spike"), (48, 59, "shift")], "shift"),
        ([(10, 39, "noise"), (60, 70, "spike")], "none"),
        ([], "none"),
    ],
)
def test_the_kind_is_that_of_the_segment_with_most_steps_of_the_fault(segments, kind):
    assert named(pd.DataFrame(segments, columns=["start", "end", "kind"]), FAULT) == kind


@pytest.mark.parametrize("name", SERIES)
def test_faults_change_their_steps_in_one_channel_and_nothing_else(name):
    train, several = faults(name, 3)
    several = list(several)

    assert [fault.kind for fault in several] == [*FAULTS]
    normal = np.median([fault.values for fault in several], axis=0)
    for fault in several:
        rows, channels = np.nonzero(fault.values != normal)
        assert fault.stop - fault.start == FAULTS[fault.kind]
        assert set(channels) == {fault.channel}
        assert rows.min() >= fault.start
        assert rows.max() < fault.stop
        assert fault.values.shape[1] == train.shape[1]


def test_the_same_seed_makes_the_same_faults():
    first, second = (list(faults("load", 5)[1]) for _ in range(2))

    for one, other in zip(first, second, strict=True):
        assert one[2:] == other[2:]
        np.testing.assert_array_equal(one.values, other.values)


@pytest.fixture
def small(monkeypatch):
    """Short series of one kind with two short faults."""
    module = "benchmarks.series.faults"
    sizes = {"N_TRAIN": 300, "N_SCORED": 120, "PLACES": (20, 60)}
    lengths = {"spike": 2, "frozen": 30}
    monkeypatch.setattr(f"{module}.FAULTS", lengths)
    monkeypatch.setattr(f"{module}.SERIES", {"load": SERIES["load"]})
    for name, size in sizes.items():
        monkeypatch.setattr(f"{module}.{name}", size)
    return lengths


def test_each_kind_of_fault_is_drawn(small, tmp_path):
    main(["--pictures", str(tmp_path / "new"), "--params", json.dumps(TINY_SERIES)])

    drawn = sorted((tmp_path / "new").iterdir())
    assert [path.name for path in drawn] == ["frozen.png", "spike.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_the_last_line_has_the_means_over_all_faults(small, capsys, tmp_path):
    params = json.dumps(TINY_SERIES)
    out = tmp_path / "out.csv"

    main(["--seeds", "1", "--processes", "1", "--out", str(out), "--params", params])

    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("faults 2 | found ")
    figures = pd.read_csv(out)
    assert figures["fault"].tolist() == [*small]
    assert f"found {figures['found'].mean():.3f} | overlap" in last
    right = (figures["kind"] == ["spike", "flatline"]).mean()
    assert last.endswith(f"kind named right {right:.3f}")
