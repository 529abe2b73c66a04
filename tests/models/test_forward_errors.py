import numpy as np
import pandas as pd
import pytest
import torch

from anomdiff.detectors.timeseries import TimeSeriesDetector
from anomdiff.encoding.segment import Segment
from anomdiff.models.forward_errors import (
    changed_components,
    earlier_components,
    ends_of_training,
)
from anomdiff.reference.segments import spread_out
from anomdiff.reference.window_bank import UncentredBank
from anomdiff.scoring.local_variation import LocalVariation

N_STEPS = 1_000


def _segment(label, n_steps):
    values = torch.zeros(n_steps, 2, dtype=torch.float64)
    return Segment(label, np.arange(n_steps), values, torch.ones_like(values, dtype=torch.bool))


def _sines(n_steps, noise, rng):
    """Healthy channels whose periods fit together only after many thousands of steps."""
    steps = np.arange(n_steps)
    clean = np.stack([np.sin(steps / (8 + 3 * i) + i) for i in range(3)], axis=1)
    return pd.DataFrame(clean + rng.normal(0, noise, (n_steps, 3)))


def test_the_end_of_each_series_is_its_last_fifth_whatever_its_gaps():
    segments = spread_out([_segment("a", 60), _segment("a", 40), _segment("b", 50)], apart=10)

    ends = ends_of_training(segments, context=7, most=1_000)

    assert ends.spans == [(70 + 20, 70 + 40), (120 + 40, 120 + 50)]
    assert [(piece.start, len(piece), context) for piece, context in ends.pieces] == [
        (70 + 13, 27, 7),
        (120 + 33, 17, 7),
    ]


def test_of_long_ends_some_pieces_are_taken_and_none_twice():
    segments = spread_out([_segment(None, 40_000)], apart=10)

    ends = ends_of_training(segments, context=5, most=2_000)

    firsts = [piece.start + context for piece, context in ends.pieces]
    assert firsts == [32_000, 36_000]
    assert all(len(piece) - context == 1_000 for piece, context in ends.pieces)
    assert ends.spans == [(32_000, 40_000)]


def test_reference_windows_that_reach_into_an_end_are_left_out_and_only_these():
    bank = UncentredBank(4, torch.arange(20.0)[:, None].repeat(1, 8), torch.arange(20))
    other = LocalVariation(17)

    earlier, same = earlier_components([bank, other], [(10, 14)])

    assert earlier.starts.tolist() == [*range(7), *range(14, 20)]
    assert torch.equal(earlier.windows[:, 0], earlier.starts.float())
    assert same is other
    assert earlier_components([bank], [(0, 30)])[0] is bank


@pytest.mark.parametrize(("shift", "changed"), [(0.0, False), (2.0, True)])
def test_a_component_has_changed_whose_errors_are_larger_at_the_end(shift, changed):
    rng = np.random.default_rng(0)
    errors = torch.from_numpy(rng.exponential(size=(2, N_STEPS, 1)))
    end = torch.from_numpy(rng.exponential(size=(2, N_STEPS // 5, 1)))
    end[1] = end[1] + 2 * shift
    end[:, 0] = torch.nan

    assert changed_components(errors, end).tolist() == [False, changed]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_rhythms_that_shift_against_each_other_are_told_and_not_flagged(seed):
    frame = _sines(3_500, 0.1, np.random.default_rng(seed))
    detector = TimeSeriesDetector(random_state=0)

    with pytest.warns(UserWarning, match="need series that stay as they are"):
        detector.fit(frame[:2_000])
    spike = frame[2_000:].copy()
    spike.loc[2_400, 0] += 3

    assert detector.score_frame(frame[2_000:])["is_anomaly"].mean() <= 0.02
    assert detector.score_frame(spike)["is_anomaly"][2_400]
