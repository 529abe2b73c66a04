"""Missing cells of encoded rows: their means, and draws that spread as far as the means err."""

from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from anomdiff.conditional import constants as tuned
from anomdiff.conditional.reference_rows import ReferenceRows
from anomdiff.conditional.stacking import ridge_weights
from anomdiff.diffusion.noise import karras_levels, seeded
from anomdiff.diffusion.sampling import sample
from anomdiff.models.progress import progressed
from anomdiff.models.tabular_model import TabularModel
from anomdiff.reference.conditional_means import gaussian_means, neighbour_means, pick

__all__ = ["RowImputer"]

# Rows completed by draws at once: bounds memory.
DRAWN_AT_ONCE = 2048

Rows = Float[Tensor, "row coord"]
RowMask = Bool[Tensor, "row coord"]
Draws = Float[Tensor, "draw row coord"]


class RowImputer:
    """Means and draws of missing cells.

    The mean is a stack of guesses, each the posterior mean under another model: the averages of
    the nearest reference rows, Gaussian data, and the network at a noise level at which nothing is
    left of the missing entries. A draw of a number is the mean plus the deviation of a reference
    row that is noised and denoised; other cells are drawn as that row has them. Weights and the
    width of draws are learned from held-out rows with cells removed.
    """

    def __init__(self, reference: ReferenceRows):
        self.reference = reference
        self.center = reference.rows.mean(0)
        self.everyone = torch.arange(len(reference.rows))

    @classmethod
    def of(cls, model: TabularModel) -> "RowImputer":
        """Imputer of a model, prepared once."""
        reference = ReferenceRows.of(model)
        return model.derived("row_imputer", lambda: cls(reference))

    def means(self, values: Rows, given: RowMask) -> Rows:
        """Complete rows by the mean of what is missing."""
        return self._mean(self.everyone, values, given)

    def draws(
        self, values: Rows, given: RowMask, n_draws: int, generator: torch.Generator
    ) -> Draws:
        """Complete rows by draws of what is missing."""
        pairs = list(zip(values.split(DRAWN_AT_ONCE), given.split(DRAWN_AT_ONCE), strict=True))
        blocks = progressed(pairs, "impute", unit=f"{DRAWN_AT_ONCE} rows")
        return torch.cat([self._draws(*each, n_draws, generator) for each in blocks], dim=1)

    def _draws(self, values, given, n_draws, generator) -> Draws:
        away = self._deviations(self.everyone, values, given, n_draws, generator)
        spread, noise = self.widths
        drawn = self.means(values, given) + spread * _jittered(away, noise, generator)
        return torch.where(given, values, torch.where(self.reference.measured, drawn, away))

    @cached_property
    def trials(self) -> tuple[Rows, RowMask, RowMask]:
        """Held-out rows, what is given of each, and what of the rest there is to be guessed."""
        generator, reference = seeded(1), self.reference
        many = tuned.TRIAL_ENTRIES // len(reference.column)
        n_trials = min(tuned.ROW_TRIALS, max(tuned.LEAST_ROWS_TRIED, many))
        which = reference.held_out[torch.arange(n_trials) % len(reference.held_out)]
        share = 1 - tuned.MOST_GAPS * torch.rand(n_trials, 1, generator=generator).square()
        shown = torch.rand(n_trials, len(reference.model.columns), generator=generator) < share
        given = shown[:, reference.column] & ~reference.missing[which]
        return reference.rows[which], given, ~given & ~reference.missing[which]

    @cached_property
    def weights(self) -> Float[Tensor, "column guess"]:
        """Weight of every guess for every column."""
        truth, given, wanted = self.trials
        guesses = self._guesses(self.reference.others, truth.where(given, 0.0), given) - self.center
        aims, strength = truth - self.center, float(tuned.POOLED * wanted.sum())
        nothing = torch.zeros(len(guesses))
        pooled = ridge_weights(guesses[:, wanted], aims[wanted], nothing, 0.0)
        weights = []
        for c in self.reference.column.unique():
            coords = torch.nonzero(self.reference.column == c)[:, 0]  # few: not masks of them all
            own, found = wanted[:, coords], guesses[:, :, coords]
            weights.append(ridge_weights(found[:, own], aims[:, coords][own], pooled, strength))
        return torch.stack(weights)

    @cached_property
    def widths(self) -> tuple[Float[Tensor, "coord"], Float[Tensor, "coord"]]:
        """Factor per coord that makes intervals of draws cover what they should, and least noise.

        The noise keeps draws apart where all donors happen to agree.
        """
        truth, given, wanted = self.trials
        arguments = self.reference.others, truth.where(given, 0.0), given
        error = truth - self._mean(*arguments)
        typical = error.abs().where(wanted, torch.nan).nanmedian(0).values.nan_to_num()
        noise, generator = tuned.LEAST_NOISE * typical * self.reference.measured, seeded(2)
        away = self._deviations(*arguments, tuned.TRIAL_DRAWS, generator)
        ends = torch.tensor([1 - tuned.COVERED, 1 + tuned.COVERED]).to(away) / 2
        low, high = _jittered(away, noise, generator).quantile(ends, dim=0)
        needed = torch.where(error > 0, error / high.clamp(min=1e-9), error / low.clamp(max=-1e-9))
        spread = torch.ones_like(noise)
        for coord in torch.nonzero(self.reference.measured)[:, 0]:
            own = needed[wanted[:, coord], coord]
            if len(own) >= tuned.LEAST_TRIALS:
                spread[coord] = own.quantile(tuned.COVERED).clamp(*tuned.SPREADS)
        return spread, noise

    def _mean(self, which: Int[Tensor, "reference"], values: Rows, given: RowMask) -> Rows:
        """Rows completed by the weighted guesses from some of the reference rows."""
        guesses = self._guesses(which, values, given) - self.center
        weights = self.weights[self.reference.column].T[:, None]
        mean = self.center + (guesses * weights).sum(0)
        return self._present(torch.where(given, values, mean), given)

    def _guesses(self, which, values, given) -> Float[Tensor, "guess row coord"]:
        """Posterior means of each row under several models."""
        rows, missing = self.reference.rows[which], self.reference.missing[which]
        guesses = [neighbour_means(rows, values, given, k, missing) for k in tuned.ROW_NEIGHBOURS]
        if rows.shape[1] <= tuned.MAX_GAUSSIAN:
            guesses.append(gaussian_means(rows, values, given))
        with torch.inference_mode():
            level = values.new_full((len(values),), tuned.IMPUTATION_SIGMA)
            return torch.stack([*guesses, self.reference.model.denoiser(values, level, given)])

    def _deviations(self, which, values, given, n_draws, generator) -> Draws:
        """Draws of completed rows; of what is measured, less the mean they are drawn around."""
        rows, missing = self.reference.rows[which], self.reference.missing[which]
        start = rows[pick(rows, values, given, tuned.DONORS, n_draws, generator, missing)]
        levels = karras_levels(tuned.N_STEPS // 2, tuned.LEAST_SIGMA, tuned.DONOR_SIGMA)
        arguments = self.reference.model.denoiser, values, given, levels, generator
        drawn = torch.stack([self._present(sample(*arguments, each), given) for each in start])
        center = neighbour_means(rows, values, given, tuned.DONORS, missing)
        return torch.where(self.reference.measured, drawn - center, drawn)

    def _present(self, events: Rows, given: RowMask) -> Rows:
        """Rows none of whose cells is missing where it was to be found."""
        present = self.reference.rows.min(0).values
        return torch.where(self.reference.flags & ~given, present, events)


def _jittered(events: Draws, noise: Float[Tensor, "coord"], generator: torch.Generator) -> Draws:
    return events + noise * torch.randn(events.shape, generator=generator).to(events)
