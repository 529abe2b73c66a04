import dataclasses
import math

import pytest
import torch

from anomdiff.scoring.step_evidence import StepEvidence
from anomdiff.scoring.step_scores import (
    ANY,
    ANY_OF_SEVERAL,
    FALL,
    NEAR_SCORE,
    PER_NAT,
    QUIET,
    StepScores,
)

N_STEPS, REACH = 1000, 16


def residuals():
    return torch.randn(2, N_STEPS, 2, dtype=torch.float64).abs()


def scores():
    return torch.randn(N_STEPS, dtype=torch.float64)


def fitted():
    evidence = StepEvidence.fit([residuals(), residuals()], None, ())
    return StepScores.fit(evidence, REACH, [residuals(), residuals()], [scores(), scores()])


def without_evidence():
    whole = fitted()
    return dataclasses.replace(whole, evidence=dataclasses.replace(whole.evidence, least=math.inf))


def contributions():
    return torch.rand(N_STEPS, 2, dtype=torch.float64)


def test_without_evidence_the_highest_window_scores_near_a_step_are_evident():
    windows, parts = scores(), contributions()

    judged = without_evidence().judge(windows, parts, residuals())

    for step in range(N_STEPS):
        near = windows[max(0, step - REACH) : step + REACH + 1].max().clamp(min=0)
        assert judged.evident[step] == (windows[step] >= NEAR_SCORE * near)
    assert torch.equal(judged.channels, parts.argmax(1))


def test_without_evidence_high_scores_fall_off_with_the_distance_and_others_stay():
    step_scores, windows = without_evidence(), scores()
    windows[500] = 20.0
    windows[501:540] = 10.0

    judged = step_scores.judge(windows, contributions(), residuals())

    evident = torch.nonzero(judged.evident)[:, 0]
    for step, (score, before) in enumerate(zip(judged.scores, windows, strict=True)):
        away = min((evident - step).abs().min().item(), REACH) / REACH
        excess = max(before.item() - step_scores.high, 0.0)
        assert score.item() == pytest.approx(before.item() - FALL * away * excess)
    assert torch.equal(judged.scores[evident], windows[evident])
    assert judged.scores[508] < windows[508]


def test_evidence_lifts_scores_makes_steps_evident_and_names_the_channel():
    step_scores, new, windows = fitted(), residuals(), scores().clamp(max=0)
    new[0, 300:330, 1] += 8

    judged = step_scores.judge(windows, contributions(), new)

    found = step_scores.evidence.steps(new)[0]
    lift = PER_NAT * (found - step_scores.strong).clamp(min=0)
    assert judged.evident[305:325].all()
    assert (judged.channels[305:325] == 1).all()
    beyond = found > step_scores.largest + ANY_OF_SEVERAL
    assert beyond[305:325].all()
    raised = (windows + lift).clamp(min=step_scores.raised)
    torch.testing.assert_close(judged.scores[beyond], raised[beyond])
    assert (judged.scores[305:325] > step_scores.high).all()


@pytest.mark.parametrize(("n_channels", "least"), [(1, ANY), (2, ANY_OF_SEVERAL)])
def test_less_evidence_raises_a_score_by_itself_where_windows_see_other_channels(n_channels, least):
    normal = [residuals()[:, :, :n_channels] for _ in range(2)]
    evidence = StepEvidence.fit(normal, None, ())
    step_scores = StepScores.fit(evidence, REACH, normal, [scores(), scores()])
    windows, parts = torch.full((N_STEPS,), -9.0), contributions()[:, :n_channels]

    for size in range(1, 60):
        new = residuals()[:, :, :n_channels]
        new[0, 300:330, -1] += size / 8
        found = evidence.steps(new)[0] - step_scores.largest
        raised = step_scores.judge(windows.double(), parts, new).scores >= step_scores.raised
        assert torch.equal(raised, found > least)


def test_what_is_too_quiet_raises_scores_with_less_evidence_than_anything_else():
    quiet = StepEvidence.fit([residuals(), residuals()], None, (), quiet=(0,))
    fit = [residuals(), residuals()], [scores(), scores()]
    step_scores, windows = StepScores.fit(quiet, REACH, *fit), scores().clamp(max=0)
    least = step_scores.largest + (QUIET + ANY_OF_SEVERAL) / 2

    for size in range(1, 40):
        new = residuals().clamp(max=2)
        new[0, 300:330, 1] += size / 4
        found, too_quiet, _ = quiet.steps(new)
        judged = step_scores.judge(windows, contributions(), new)
        if too_quiet.max() > least:
            break

    assert torch.equal(found[300:330], too_quiet[300:330])
    raised = too_quiet > step_scores.largest + QUIET
    assert raised.any()
    assert (judged.scores[raised] >= step_scores.raised).all()


def test_steps_without_evidence_are_never_above_their_window_scores():
    step_scores, new, windows = fitted(), residuals(), 3 * scores()
    new[0, 300:330, 1] += 8

    judged = step_scores.judge(windows, contributions(), new)

    plain = step_scores.evidence.steps(new)[0] == 0
    assert (judged.scores[plain] <= windows[plain]).all()
    low = plain & (windows <= step_scores.high)
    assert torch.equal(judged.scores[low], windows[low])
    high = plain & ~low
    assert (judged.scores[high] > step_scores.high).all()


def test_what_is_stored_and_read_back_answers_alike():
    step_scores = fitted()
    asked = scores(), contributions(), residuals()

    again = StepScores.from_dict(step_scores.to_dict())

    assert again.delay == step_scores.delay
    for found, expected in zip(again.judge(*asked), step_scores.judge(*asked), strict=True):
        assert torch.equal(found, expected)


def test_a_run_that_is_too_long_raises_scores_whatever_windows_say():
    step_scores = dataclasses.replace(fitted(), usual_runs=torch.tensor([5.0, 50.0, 5.0]))
    runs = torch.ones(N_STEPS, 3, dtype=torch.long)
    runs[300:320, :2] = torch.arange(1, 21)[:, None]
    new, parts = residuals(), contributions()
    low = torch.full((N_STEPS,), -2.0, dtype=torch.float64)

    judged = step_scores.judge(low, parts, new, runs)
    lower = step_scores.judge(low - 1, parts, new, runs)

    assert judged.evident[300:320].all()
    assert (judged.channels[300:320] == 0).all()
    assert (judged.scores[300:320] > step_scores.raised).all()
    assert (lower.scores[300:320] <= judged.scores[300:320]).all()
    before = step_scores.judge(low, parts, new)
    others = (runs == 1).all(1)
    others[300] = False
    torch.testing.assert_close(judged.scores[others], before.scores[others])
