"""Filling the missing cells of encoded rows: means, and draws as wide as their misses."""

from functools import cached_property

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from anomdiff.conditional.reference_rows import LEAST_LEVEL, N_STEPS, Recall, seeded
from anomdiff.diffusion.noise import karras_levels
from anomdiff.diffusion.sampling import gaussian_means, neighbour_means, pick, sample

# Noise level, in standard deviations, at which missing entries say nothing of themselves.
REDRAWN = 2.5
# How many neighbours are averaged: one guess each.
NEIGHBOURS = (5, 20, 60)
# Remembered rows nearest in what is given, one of which a draw starts from, and its noise.
DONORS, DONOR_LEVEL = 20, 0.3
# Held-out rows, with cells removed, on which guesses are weighed and spreads are set.
N_TRIALS, TRIAL_DRAWS, LEAST_TRIALS = 1000, 36, 20
# Most columns removed from a trial, as a share; the fewer the commoner, as in real tables.
MOST_GAPS = 0.7
# Share of rows that intervals are to hold; what factors that may take; and the least standard
# deviation of draws, as a share of the typical miss.
COVERED, SPREADS, LEAST_NOISE = 0.9, (0.5, 3.0), 0.5
# Weight that all columns together have in the weights of one, as a share of the trials.
POOLED = 0.02
# Coords beyond which a covariance matrix takes too long to solve for every pattern of gaps.
MAX_GAUSSIAN = 256
# Rows completed by draws at once: bounds memory.
DRAWN_AT_ONCE = 2048


class Completion:
    """Means and draws of missing cells, put right on held-out rows.

    Parameters
    ----------
    recall : Recall
        Network and remembered rows.
    """

    def __init__(self, recall: Recall):
        self.recall = recall
        self.center = recall.rows.mean(0)
        self.everyone = torch.arange(len(recall.rows))

    def means(self, values: Tensor, given: Tensor) -> Tensor:
        """Complete rows by the mean of what is missing."""
        return self._mean(self.everyone, values, given, self.weights)

    def draws(self, values: Tensor, given: Tensor, n_draws: int, generator) -> Tensor:
        """Complete rows by draws of what is missing, of shape (draw, row, coord)."""
        blocks = zip(values.split(DRAWN_AT_ONCE), given.split(DRAWN_AT_ONCE), strict=True)
        return torch.cat([self._draws(*each, n_draws, generator) for each in blocks], dim=1)

    def _draws(self, values: Tensor, given: Tensor, n_draws: int, generator) -> Tensor:
        """Draws of some rows."""
        away = self._deviations(self.everyone, values, given, n_draws, generator)
        spread, noise = self.widths
        drawn = self.means(values, given) + spread * _jittered(away, noise, generator)
        return torch.where(given, values, torch.where(self.recall.measured, drawn, away))

    @cached_property
    def trials(self) -> tuple[Tensor, Tensor, Tensor]:
        """Held-out rows, what is given of each, and what of the rest there is to be guessed."""
        generator, recall = seeded(1), self.recall
        which = recall.tried[torch.arange(N_TRIALS) % len(recall.tried)]
        share = 1 - MOST_GAPS * torch.rand(N_TRIALS, 1, generator=generator).square()
        n_columns = len(recall.schema.used)
        shown = torch.rand(N_TRIALS, n_columns, generator=generator) < share
        given = shown[:, recall.part] & ~recall.lacking[which]
        return recall.rows[which], given, ~given & ~recall.lacking[which]

    @cached_property
    def weights(self) -> Tensor:
        """Weight of every guess for every column, of shape (column, guess)."""
        truth, given, wanted = self.trials
        guesses = self._guesses(self.recall.rest, truth.where(given, 0.0), given) - self.center
        aims, strength = truth - self.center, float(POOLED * wanted.sum())
        pooled = _weights(guesses[:, wanted], aims[wanted], torch.zeros(len(guesses)), 0.0)
        columns = [wanted & (self.recall.part == c) for c in self.recall.part.unique()]
        weights = [_weights(guesses[:, own], aims[own], pooled, strength) for own in columns]
        return torch.stack(weights)

    @cached_property
    def widths(self) -> tuple[Tensor, Tensor]:
        """Factor per coord that makes intervals of draws cover what they should, and least noise.

        The noise keeps draws apart where all donors happen to agree.
        """
        truth, given, wanted = self.trials
        arguments = self.recall.rest, truth.where(given, 0.0), given
        miss = truth - self._mean(*arguments, self.weights)
        typical = miss.abs().where(wanted, torch.nan).nanmedian(0).values.nan_to_num()
        noise, generator = LEAST_NOISE * typical * self.recall.measured, seeded(2)
        away = self._deviations(*arguments, TRIAL_DRAWS, generator)
        ends = torch.tensor([1 - COVERED, 1 + COVERED]).to(away) / 2
        low, high = _jittered(away, noise, generator).quantile(ends, dim=0)
        needed = torch.where(miss > 0, miss / high.clamp(min=1e-9), miss / low.clamp(max=-1e-9))
        spread = torch.ones_like(noise)
        for coord in torch.nonzero(self.recall.measured)[:, 0]:
            own = needed[wanted[:, coord], coord]
            if len(own) >= LEAST_TRIALS:
                spread[coord] = own.quantile(COVERED).clamp(*SPREADS)
        return spread, noise

    def _mean(self, known: Tensor, values: Tensor, given: Tensor, weights: Tensor) -> Tensor:
        """Rows completed by the weighted guesses from the known rows."""
        guesses = self._guesses(known, values, given) - self.center
        mean = self.center + (guesses * weights[self.recall.part].T[:, None]).sum(0)
        return self._present(torch.where(given, values, mean), given)

    def _guesses(self, known: Tensor, values: Tensor, given: Tensor) -> Tensor:
        """Posterior means of each row under several models, of shape (guess, row, coord)."""
        rows, lacking = self.recall.rows[known], self.recall.lacking[known]
        guesses = [neighbour_means(rows, values, given, k, lacking) for k in NEIGHBOURS]
        if rows.shape[1] <= MAX_GAUSSIAN:
            guesses.append(gaussian_means(rows, values, given))
        with torch.inference_mode():
            level = values.new_full((len(values),), REDRAWN)
            return torch.stack([*guesses, self.recall.denoiser(values, level, given)])

    def _deviations(self, known, values, given, n_draws, generator) -> Tensor:
        """Draws of completed rows; of what is measured, less the mean they are drawn around."""
        rows, lacking = self.recall.rows[known], self.recall.lacking[known]
        start = rows[pick(rows, values, given, DONORS, lacking, n_draws, generator)]
        levels = karras_levels(N_STEPS // 2, LEAST_LEVEL, DONOR_LEVEL)
        arguments = self.recall.denoiser, values, given, levels, generator
        drawn = torch.stack([self._present(sample(*arguments, each), given) for each in start])
        center = neighbour_means(rows, values, given, DONORS, lacking)
        return torch.where(self.recall.measured, drawn - center, drawn)

    def _present(self, events: Tensor, given: Tensor) -> Tensor:
        """Rows none of whose cells is missing where it was to be found."""
        return torch.where(self.recall.flags & ~given, self.recall.rows.min(0).values, events)


def _weights(guesses: Tensor, truth: Tensor, prior: Tensor, strength: float) -> Tensor:
    """Weights, not negative, of the guesses that miss the truth least; drawn to the prior."""
    size = float(truth.square().mean()) if len(truth) else 1.0
    ridge = np.sqrt(strength * size + 1e-12)
    matrix = np.vstack([guesses.T.numpy(), ridge * np.eye(len(guesses))])
    return torch.from_numpy(nnls(matrix, np.append(truth.numpy(), ridge * prior.numpy()))[0])


def _jittered(events: Tensor, noise: Tensor, generator) -> Tensor:
    return events + noise * torch.randn(events.shape, generator=generator).to(events)
