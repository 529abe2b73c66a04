"""What may be wrong with a fitted detector: noise, training, samples, calibration."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import ks_2samp, kstest

from anomdiff.conditional.constants import IMPUTATION_SIGMA
from anomdiff.conditional.reference_rows import ReferenceRows
from anomdiff.conditional.row_sampling import sample_rows
from anomdiff.diffusion.noise import seeded
from anomdiff.explain.attribution import ATTRIBUTION_SIGMA, expected_parts
from anomdiff.models.tabular_model import TabularModel
from anomdiff.models.window_model import WindowModel

__all__ = ["MODEL_FINDINGS", "score_findings"]

# Share of the evaluations, the last ones, in which the validation loss may fall by this at most.
LAST_EVALUATIONS, STILL_FALLING = 0.25, 0.02
# Validation loss over training loss that tells overfitting; loss of a network that learnt nothing.
OVERFITTED, NOTHING_LEARNT = 1.25, 0.99
# Share of the variance of a column that the network explains by the others if it learnt anything.
LEAST_EXPLAINED = 0.03
# Largest distance of a noisy marginal from the Gaussian; of a generated column or correlation
# from the real one.
NOT_YET_NOISE, UNLIKE = 0.1, 0.15
N_COMPARED = 2000
LEAST_P_VALUE = 0.01
# Steps that calibrate a detector of series, in longest windows: those in fewer are much alike.
LEAST_CALIBRATION = 10


class Finding(NamedTuple):
    """One finding: a number, whether it is as it should be, and what to do."""

    check: str
    value: float
    limit: float
    ok: bool
    advice: str


def table_findings(model: TabularModel) -> list[Finding]:
    """Findings about the model of a table: noise, training, samples."""
    rows, seen = model.reference.values, model.network_view
    held_out = rows[model.reference.exclude_self]
    return [
        _equilibrium(rows[:, seen], model.seed),
        *_training(model.history),
        *_explained(model),
        *_samples(model, held_out if len(held_out) > 1 else rows),
    ]


def series_findings(model: WindowModel) -> list[Finding]:
    """Findings about the model of series: training, and how much calibrates."""
    n_steps, longest = len(model.calibration_scores), max(model.window_lengths)
    return [
        *_training(model.history),
        _loss(model.history),
        _calibration_length(n_steps, longest),
    ]


# By the unit that a detector scores.
MODEL_FINDINGS: dict[str, Callable[[Any], list[Finding]]] = {
    "row": table_findings,
    "step": series_findings,
}


def score_findings(calibration: np.ndarray, scores: np.ndarray | None) -> list[Finding]:
    """Findings about the scores of new rows, beside those that calibrate."""
    return [] if scores is None or not len(scores) else [_exchangeable(calibration, scores)]


def _equilibrium(rows: torch.Tensor, seed: int) -> Finding:
    """At the noise level from which missing cells are imputed, nothing of the data must be left."""
    generator = seeded(seed)
    rows = rows[torch.randperm(len(rows), generator=generator)[:N_COMPARED]].double()
    noise = torch.randn(rows.shape, generator=generator, dtype=torch.float64)
    noisy = (rows + IMPUTATION_SIGMA * noise) / (1 + IMPUTATION_SIGMA**2) ** 0.5
    distance = max(kstest(column, "norm").statistic for column in noisy.T.numpy())
    return Finding(
        "equilibrium",
        distance,
        NOT_YET_NOISE,
        distance <= NOT_YET_NOISE,
        f"At noise level {IMPUTATION_SIGMA:g} a column still shows: clip or transform its outliers."
        if distance > NOT_YET_NOISE
        else f"At noise level {IMPUTATION_SIGMA:g} nothing is left of the data, as it should be.",
    )


def _training(history: pd.DataFrame) -> Iterator[Finding]:
    """Converged and overfitted: read from the course of the losses."""
    held_out, training = (history[c].to_numpy() for c in ("validation_loss", "loss"))
    n_last = max(1, round(LAST_EVALUATIONS * len(history)))
    fall = 1 - held_out[-n_last:].min() / held_out[:-n_last].min() if len(history) > n_last else 1.0
    converged = fall <= STILL_FALLING
    yield Finding(
        "converged",
        fall,
        STILL_FALLING,
        converged,
        "The validation loss has settled."
        if converged
        else "The validation loss still falls: raise max_iter.",
    )
    # An evaluation's training loss is that of one batch: the median of several is steadier.
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


def _loss(history: pd.DataFrame) -> Finding:
    """Of a window, whose entries are all alike, the loss itself tells whether it was learnt."""
    least = float(history["validation_loss"].min())
    return _underfitted(least, NOTHING_LEARNT, least <= NOTHING_LEARNT)


def _explained(model: TabularModel) -> Iterator[Finding]:
    """Of a row, how far columns are restored from the others; the loss would count their ranks."""
    reference = ReferenceRows.of(model)
    rows, missing = reference.rows[reference.held_out], reference.missing[reference.held_out]
    if len(model.columns) == 1 or len(rows) < 2:
        return
    parts = model.column_masks[:, model.network_view]
    expected = expected_parts(model.denoiser, rows, ~missing, parts, ATTRIBUTION_SIGMA)
    errors, spread = (rows - expected).square(), (rows - rows.mean(0)).square()
    error, variance = (each.where(~missing, 0.0) @ parts.T.double() for each in (errors, spread))
    varied = variance.sum(0) > 0
    best = float((1 - error.sum(0) / variance.sum(0))[varied].max()) if varied.any() else 0.0
    yield _underfitted(best, LEAST_EXPLAINED, best >= LEAST_EXPLAINED)


def _underfitted(value: float, limit: float, learnt: bool) -> Finding:
    advice = (
        "The network predicts better than chance."
        if learnt
        else "The network learnt nothing: columns are independent, or max_iter and rows too few."
    )
    return Finding("underfitted", value, limit, learnt, advice)


def _samples(model: TabularModel, held_out: torch.Tensor) -> Iterator[Finding]:
    """Generated rows beside rows that training did not see: each column, and each pair."""
    n = min(N_COMPARED, len(held_out))
    generated = sample_rows(model, max(n, 2), None, model.seed)
    encoded, _ = model.encode(model.schema.check(generated))
    view = model.encoder.views()[0]  # no ranks: each says the same as its number
    made, real = encoded.numpy()[:, view], held_out.numpy()[:, view]
    names = np.array(model.encoder.features, dtype=object)[view]
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


def _calibration_length(n_steps: int, length: int) -> Finding:
    """Count how often the longest window fits into the steps that calibrate."""
    ok = n_steps >= LEAST_CALIBRATION * length
    return Finding(
        "calibration",
        n_steps / length,
        LEAST_CALIBRATION,
        ok,
        "The threshold rests on many times the longest window."
        if ok
        else f"The threshold rests on few times the longest window, alarms may be more than alpha: "
        f"give {LEAST_CALIBRATION * length} normal steps, or lower window_lengths.",
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
