"""What may be wrong with a fitted detector: noise, training, samples, calibration."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import ks_2samp, kstest

from anomdiff.explain.row_explanation import REDRAWN, remembered

# Looks at the held-out loss from whose course is judged, as a share of all, and its largest fall.
LAST_LOOKS, STILL_FALLING = 0.25, 0.02
# Held-out loss over training loss that tells overfitting; loss of a network that learnt nothing.
OVERFITTED, NOTHING_LEARNT = 1.25, 0.99
# Largest distance of a noisy marginal from the Gaussian; of a generated column or correlation
# from the real one.
NOT_YET_NOISE, UNLIKE = 0.1, 0.15
N_COMPARED = 2000
LEAST_P_VALUE = 0.01
# Steps that calibrate a detector of series, in longest windows: those in fewer are much alike.
LEAST_STRETCHES = 10


class Finding(NamedTuple):
    """One finding: a number, whether it is as it should be, and what to do."""

    check: str
    value: float
    limit: float
    ok: bool
    advice: str


def diagnose(detector, scores: np.ndarray | None) -> pd.DataFrame:
    """Run all checks; see ``DiffusionDetector.diagnose``.

    Parameters
    ----------
    detector : DiffusionDetector
        Fitted.
    scores : ndarray of shape (row,), optional
        Anomaly scores of new rows.
    """
    findings = list(_training(detector.history_))
    if hasattr(detector, "window_lengths_"):
        findings.append(
            _stretches(len(detector.calibration_scores_), max(detector.window_lengths_))
        )
    else:
        rows = remembered(detector)
        findings.insert(0, _equilibrium(rows[:, detector._views()[0]], detector.seed_))
        held_out = rows[detector.memory_["shy"]]
        findings += _samples(detector, held_out if len(held_out) > 1 else rows)
    if scores is not None:
        findings.append(_exchangeable(detector.calibration_scores_, scores))
    return pd.DataFrame(findings)


def _equilibrium(rows: torch.Tensor, seed: int) -> Finding:
    """Where sampling starts, the data must have drowned in the noise."""
    generator = torch.Generator().manual_seed(seed)
    rows = rows[torch.randperm(len(rows), generator=generator)[:N_COMPARED]].double()
    noise = torch.randn(rows.shape, generator=generator, dtype=torch.float64)
    noisy = (rows + REDRAWN * noise) / (1 + REDRAWN**2) ** 0.5
    distance = max(kstest(column, "norm").statistic for column in noisy.T.numpy())
    return Finding(
        "equilibrium",
        distance,
        NOT_YET_NOISE,
        distance <= NOT_YET_NOISE,
        f"At noise level {REDRAWN:g} a column still shows: clip or transform its outliers."
        if distance > NOT_YET_NOISE
        else f"At noise level {REDRAWN:g} nothing is left of the data, as it should be.",
    )


def _training(history: pd.DataFrame) -> Iterator[Finding]:
    """Converged, overfitted, underfitted: read from the course of the losses."""
    held_out, training = (history[c].to_numpy() for c in ("validation_loss", "loss"))
    n_last = max(1, round(LAST_LOOKS * len(history)))
    fall = 1 - held_out[-n_last:].min() / held_out[:-n_last].min() if len(history) > n_last else 1.0
    converged = fall <= STILL_FALLING
    yield Finding(
        "converged",
        fall,
        STILL_FALLING,
        converged,
        "The held-out loss has settled."
        if converged
        else "The held-out loss still falls: raise steps.",
    )
    # A look's training loss is that of one batch: the median of several is steadier.
    ratio = float(held_out.min() / np.median(training[-n_last:]))
    yield Finding(
        "overfitted",
        ratio,
        OVERFITTED,
        ratio <= OVERFITTED,
        "Held-out rows are restored about as well as those of training."
        if ratio <= OVERFITTED
        else "Training rows are restored better than others: give more rows, or lower width.",
    )
    learnt = held_out.min() <= NOTHING_LEARNT
    yield Finding(
        "underfitted",
        float(held_out.min()),
        NOTHING_LEARNT,
        learnt,
        "The network predicts the noise better than chance."
        if learnt
        else "The network learnt nothing: columns are independent, or steps and rows too few.",
    )


def _samples(detector, held_out: torch.Tensor) -> Iterator[Finding]:
    """Generated rows beside rows that training did not see: each column, and each pair."""
    n = min(N_COMPARED, len(held_out))
    generated = detector.sample(max(n, 2), random_state=detector.seed_)
    made = detector._encode(detector.schema_.check(generated))[0]
    view = detector._views()[0]
    made, real = made[:, view].numpy(), held_out[:, view].numpy()
    names = np.array(detector.encoder_.features, dtype=object)[view.numpy()]
    tests = [ks_2samp(a, b) for a, b in zip(made.T, real.T, strict=True)]
    distances = np.array([test.statistic for test in tests])
    worst = int(distances.argmax())
    yield Finding(
        "samples: columns",
        distances[worst],
        UNLIKE,
        distances[worst] <= UNLIKE or tests[worst].pvalue * len(tests) > LEAST_P_VALUE,
        f"The column that samples get least right is {names[worst]!r}.",
    )
    if made.shape[1] > 1:
        yield _pairs(made, real, names)


def _pairs(made: np.ndarray, real: np.ndarray, names: np.ndarray) -> Finding:
    """Compare the correlations of generated and real columns."""
    apart = np.abs(_correlations(made) - _correlations(real))
    first, second = np.unravel_index(apart.argmax(), apart.shape)
    # Two sampled correlations of unrelated columns differ by this much and more in one of 100.
    chance = 2.6 * (1 / len(made) + 1 / len(real)) ** 0.5
    limit = max(UNLIKE, chance)
    return Finding(
        "samples: pairs",
        apart.max(),
        limit,
        apart.max() <= limit,
        f"The correlation that samples get least right is that of {names[first]!r} and "
        f"{names[second]!r}.",
    )


def _stretches(n_steps: int, length: int) -> Finding:
    """Count how often the longest window fits into the steps that calibrate."""
    ok = n_steps >= LEAST_STRETCHES * length
    return Finding(
        "calibration",
        n_steps / length,
        LEAST_STRETCHES,
        ok,
        "The threshold rests on many stretches as long as the longest window."
        if ok
        else f"The threshold rests on few stretches, so that alarms may be more than alpha: give "
        f"{LEAST_STRETCHES * length} normal steps, or lower window_lengths.",
    )


def _exchangeable(calibration: np.ndarray, scores: np.ndarray) -> Finding:
    """New normal rows must score like those that set the threshold; anomalies are few."""
    # Anomalies among the new rows are no drift: the largest scores of both are left out.
    cut = np.quantile(calibration, 0.95)
    test = ks_2samp(calibration[calibration <= cut], scores[scores <= cut])
    ok = test.pvalue > LEAST_P_VALUE
    return Finding(
        "exchangeable",
        float(test.pvalue),
        LEAST_P_VALUE,
        bool(ok),
        "New rows score like those that set the threshold."
        if ok
        else "New rows score otherwise than those that set the threshold: recalibrate, or refit.",
    )


def _correlations(rows: np.ndarray) -> np.ndarray:
    """Correlation matrix, 0 for constant columns."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.corrcoef(rows, rowvar=False))
