import dataclasses
import math

import pytest
import torch

from anomdiff.scoring.residual_tails import (
    LEAST_RESIDUAL,
    MOST_SURPRISAL,
    TAIL_SHARE,
    ResidualTails,
)
from anomdiff.scoring.step_evidence import (
    AHEAD,
    FEW_STEPS,
    OVERLAP,
    STEPS_TOGETHER,
    StepEvidence,
)

N_STEPS = 2000


def residuals(n_components=2, n_steps=N_STEPS, n_channels=2):
    return torch.randn(n_components, n_steps, n_channels, dtype=torch.float64).abs()


def fitted(sharp=None, trimmed=(), n_components=2):
    return StepEvidence.fit([residuals(n_components), residuals(n_components)], sharp, trimmed)


def test_surprisals_of_the_data_that_they_are_fitted_to_are_exponential_of_mean_1():
    normal = residuals(n_steps=8000)

    surprisals = ResidualTails.fit(normal).surprisals(normal)

    for component in surprisals:
        for channel in component.T:
            for level in (0.2, 0.5, 1.0, 2.0):
                share = (channel > level).double().mean().item()
                assert share == pytest.approx(math.exp(-level), abs=0.02)
            start = -math.log(TAIL_SHARE)
            assert (channel[channel > start] - start).mean().item() == pytest.approx(1, abs=0.02)


def test_surprisals_rise_with_residuals_up_to_a_limit_and_missing_ones_stay_missing():
    tails = ResidualTails.fit(residuals())
    ascending = (torch.rand(2, 300, 2, dtype=torch.float64) * 12).exp().sub(1).sort(1).values
    ascending[:, 100] = torch.nan

    surprisals = tails.surprisals(ascending)

    assert torch.equal(surprisals.isnan(), ascending.isnan())
    known = surprisals[:, torch.arange(300) != 100]
    assert (known.diff(dim=1) >= 0).all()
    assert (known >= 0).all()
    assert known.max() == MOST_SURPRISAL


def test_missing_residuals_do_not_change_the_tails_of_the_others():
    normal = residuals()
    gaps = torch.cat([normal, torch.full_like(normal, torch.nan)], dim=1)

    whole, with_gaps = ResidualTails.fit(normal), ResidualTails.fit(gaps)

    torch.testing.assert_close(vars(with_gaps), vars(whole))


@pytest.mark.parametrize("rounding", [1e-12, 1e-6, LEAST_RESIDUAL / 2])
def test_rounding_in_a_channel_without_residuals_is_no_surprise(rounding):
    tails = ResidualTails.fit(torch.zeros(1, 100, 1, dtype=torch.float64))

    surprisals = tails.surprisals(torch.full((1, 5, 1), rounding, dtype=torch.float64))

    assert (surprisals == 0).all()


def test_components_of_which_nothing_is_known_have_no_segments():
    normal = residuals()
    normal[1] = torch.nan
    evidence = StepEvidence.fit([normal], None, ())

    segments = evidence.segments(normal)

    assert {segment.component for segment in segments} <= {0}


def test_silent_components_have_no_segments_and_do_not_tell_what_counts():
    normal = residuals()
    normal[:, :, :] = 0.0  # no segment but those of the silent one
    normal[1, 100:140] = 5.0

    evidence = StepEvidence.fit([normal], None, (), silent=[1])

    assert evidence.segments(normal) == []
    assert evidence.least == 0.0


def test_few_steps_of_new_noise_are_covered():
    evidence = fitted()

    found, _, channels = evidence.steps(residuals(n_steps=4 * N_STEPS))

    assert (found > 0).double().mean() < 0.2
    assert torch.equal(channels >= 0, found > 0)


def test_a_shift_is_found_at_its_place_and_in_its_channel():
    new = residuals()
    new[0, 300:340, 1] += 5

    strongest = max(fitted().segments(new), key=lambda segment: segment.evidence)

    assert (strongest.component, strongest.channel) == (0, 1)
    assert strongest.start == pytest.approx(300, abs=10)
    assert strongest.stop == pytest.approx(340, abs=10)


@pytest.mark.parametrize("first", [0, 100, 256, 400, STEPS_TOGETHER - 1])
def test_the_segment_of_a_fault_does_not_depend_on_where_the_series_begins(first):
    evidence, new = fitted(), residuals(n_steps=3 * STEPS_TOGETHER)
    new[0, 700:850, 1] += 3

    strongest = max(evidence.segments(new[:, first:]), key=lambda segment: segment.evidence)

    whole = max(evidence.segments(new), key=lambda segment: segment.evidence)
    assert (strongest.start + first, strongest.stop + first) == (whole.start, whole.stop)
    assert whole.start == pytest.approx(700, abs=10)


def test_what_is_far_ahead_changes_nothing():
    evidence, new = fitted(), residuals()
    new[:, STEPS_TOGETHER - 20 : STEPS_TOGETHER + 20] += 5
    known = STEPS_TOGETHER + AHEAD

    early = evidence.segments(new[:, :known])

    final = known - 2 * AHEAD
    assert [each for each in evidence.segments(new) if each.stop <= final] == [
        each for each in early if each.stop <= final
    ]


def test_a_slow_channel_does_not_hide_what_is_odd_in_another():
    normal, new = residuals(n_steps=2 * N_STEPS), residuals()
    slow = torch.randn(2, 2 * N_STEPS // 100, 1, dtype=torch.float64).abs()
    normal[:, :, :1] *= slow.repeat_interleave(100, dim=1)  # what is off stays so for long
    new[0, 300:360, 1] += 1.5

    with_slow = StepEvidence.fit([normal], None, ()).segments(new[:, :, [1, 1]])
    alone = StepEvidence.fit([normal[:, :, 1:]], None, ()).segments(new[:, :, 1:])

    most = [max(each.evidence for each in found) for found in (with_slow, alone)]
    assert most[0] > 0.5 * most[1]


def test_no_segment_is_covered_by_a_stronger_one():
    evidence, new = fitted(n_components=4), residuals(n_components=4)
    new[:, 100:400] += 2 * torch.rand(4, 1, 2)
    evidence = dataclasses.replace(evidence, least=-math.inf)

    segments = evidence.segments(new)

    for each in segments:
        stronger = [other for other in segments if other.evidence > each.evidence]
        steps = {step for other in stronger for step in range(other.start, other.stop)}
        own = range(each.start, each.stop)
        limit = OVERLAP if len(own) > FEW_STEPS else 0.0
        assert len(steps.intersection(own)) / len(own) <= limit


def test_segments_are_trimmed_to_the_steps_that_are_sharply_off():
    evidence, new = fitted(sharp=1, trimmed=(0,)), residuals()
    new[0, 300:360, 1] += 5
    new[1] = 0
    new[1, 320:340, 1] = 50

    segments = evidence.segments(new)

    strongest = max(segments, key=lambda segment: segment.evidence)
    assert (strongest.start, strongest.stop) == (320, 340)
    assert {each.component for each in segments} == {0}


@pytest.mark.parametrize(
    ("size", "length", "is_trimmed"), [(4.0, 20, False), (50.0, 20, True), (50.0, 60, False)]
)
def test_short_segments_of_other_components_are_trimmed_where_steps_are_clearly_off(
    size, length, is_trimmed
):
    new = residuals()
    new[0, 300 : 300 + length, 1] += 5
    new[1, 310:312, 1] = size

    strongest = max(fitted(sharp=1).segments(new), key=lambda segment: segment.evidence)

    assert (strongest.stop - strongest.start <= 3) == is_trimmed


def test_the_order_of_channels_does_not_matter():
    order = torch.tensor([2, 0, 1])
    normal, new = residuals(n_channels=3), residuals(n_channels=3)
    new[0, 300:340, 1] += 5

    found, _, channels = StepEvidence.fit([normal], None, ()).steps(new)
    permuted = StepEvidence.fit([normal[:, :, order]], None, ()).steps(new[:, :, order])

    torch.testing.assert_close(permuted[0], found)
    named = torch.where(permuted[2] >= 0, order[permuted[2]], -1)
    assert torch.equal(named, channels)


def test_what_is_stored_and_read_back_answers_alike():
    evidence, new = fitted(sharp=1, trimmed=(0,)), residuals()

    again = StepEvidence.from_dict(evidence.to_dict())

    assert again.segments(new) == evidence.segments(new)
    assert again.trimmed == evidence.trimmed
