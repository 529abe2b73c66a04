"""The mutations: a name, a file of ``anomdiff``, a text that occurs in it once, and another."""

from typing import NamedTuple

from tests.mutants.series import OF_SERIES

__all__ = ["MUTANTS", "Mutant"]


class Mutant(NamedTuple):
    """One change of one text."""

    name: str
    file: str
    old: str
    new: str


RECONSTRUCTION = {
    "errors not weighted by their level": (" * (1 + spread**-2)).mean(2)", ").mean(2)"),
    "one draw for all": ("(1 + spread**-2)).mean(2)", "(1 + spread**-2))[:, :, 0]"),
    "errors without logarithm": (".flatten(2).log1p()", ".flatten(2)"),
    "rows with missing cells not rescaled": (
        "log1p().sum(2) / share[:, None]",
        "log1p().sum(2)",
    ),
    "sizes with missing cells not rescaled": (
        "(errors.flatten(2).sum(2) / share[:, None])",
        "errors.flatten(2).sum(2)",
    ),
}
RECONSTRUCTION_COMPONENT = {
    "more levels are low": ("LOW, HIGH = 0.25, 0.8", "LOW, HIGH = 0.5, 0.8"),
    "fewer levels are high": ("LOW, HIGH = 0.25, 0.8", "LOW, HIGH = 0.25, 1.5"),
    "middle noised": ("torch.zeros_like(noise[middle][:, :1])", "noise[middle]"),
    "high levels compressed": ("noise[high], distances, False)", "noise[high], distances, True)"),
    "ranks count at high levels": (
        "noise[high], distances, False)",
        "noise[high], everything, False)",
    ),
    "low levels not compressed": (
        "noise[low], everything, True)",
        "noise[low], everything, False)",
    ),
}
ENSEMBLE = {
    "network left out": ("share) for each in self.recon", "share) * 0 for each in self.recon"),
    "distances not rescaled": ("observed[:, view]) / whole", "observed[:, view])"),
    "rare categories weigh like others": ("values * self.distance_weights", "values"),
    "views swapped": ("zip(views, reference.local", "zip(views.flip(0), reference.local"),
    "cooccurrence left out": ("self.cooccurrence.errors(", "0 * self.cooccurrence.errors("),
    "subsets left out": (
        "observed, whole) for each in self.subset",
        "observed, whole) * 0 for each in self.subset",
    ),
}
SUBSET_SEARCH = {
    "subsets in unlike units": ("(distances / self.subsets.means)", "distances"),
    "subsets not rescaled": ("observed) / whole", "observed)"),
    "distances to subsets without logarithm": (".means).log1p().mean(1", ".means).mean(1"),
    "held-out rows find themselves in subsets": ("subset.exclude_self[at]\n", "False\n"),
    "fewer subspaces": (
        "N_SUBSPACES, SUBSPACE_ROWS = 32, 750",
        "N_SUBSPACES, SUBSPACE_ROWS = 31, 750",
    ),
    "single columns": ("max(2, round(", "max(1, round("),
    "parts overlap": (
        "torch.randperm(n_reference, generator=generator)[: n_parts",
        "torch.randint(n_reference, (n_reference,), generator=generator)[: n_parts",
    ),
}
SURPRISAL = {
    "smaller tail": ("LARGE_SHARE = 0.1", "LARGE_SHARE = 0.05"),
    "heavier tails": ("PRIOR_EXCESSES = 0.5, 10", "PRIOR_EXCESSES = 0.5, 0"),
    "exponential tails": ("min(max(shape, 0.0), LARGEST_SHAPE)", "0.0"),
    "scale of the mean excess": ("mean * (1 - shape)", "mean"),
    "loud errors without logarithm": ("LOUD + (surprising - LOUD).log1p()", "surprising"),
    "the row itself not counted among held-out ones": ("(n - below + 1.0)", "(n - below + 1e-9)"),
}
SEPARATION = {
    "weights less sharp": (
        "SHARPNESS, LEAST_WEIGHT, MOST_WEIGHT = 10.0",
        "SHARPNESS, LEAST_WEIGHT, MOST_WEIGHT = 5.0",
    ),
    "weights not bounded": (
        "np.clip(weights / weights.mean(), LEAST_WEIGHT, MOST_WEIGHT)",
        "weights / weights.mean()",
    ),
    "priors without effect": ("weights *= np.array(priors)", "weights *= 1.0"),
    "worst component weighs most": ("SHARPNESS * (areas", "-SHARPNESS * (areas"),
}
CORRUPTION = {
    "fewer cells mixed": ("MIXED_SHARE = 0.5", "MIXED_SHARE = 0.2"),
    "numbers moved less": ("away * _std(known)", "away"),
    "no cell moved": ("max(1 / len(schema.used), MOVED_SHARE)", "0.0"),
}
NEAREST = {
    "local distances left out": ("[plain.squares, local.sq", "[plain.squares, plain.sq"),
    "plain distances left out": ("[plain.squares, local.sq", "[local.squares, local.sq"),
    "held-out rows find themselves": ("self.exclude_self[self._order][plain.rows]", "False"),
    "training rows exclude themselves": ("self.exclude_self[self._order][plain.rows]", "True"),
}
REFERENCE_SET = {
    "nearer neighbour sets the scale": ("SCALE_NEIGHBOUR = 20", "SCALE_NEIGHBOUR = 19"),
    "smaller least scale": ("LEAST_SCALE = 0.1", "LEAST_SCALE = 0.05"),
    "scales not damped": ("DAMPING = 0.5", "DAMPING = 1.0"),
    "scales of unweighted rows": ("weighted = values * weights", "weighted = values"),
}
COOCCURRENCE = {
    "typical sums not taken off": ("(self._sums(codes) - self.typical)", "self._sums(codes)"),
    "stronger prior": ("PRIOR_ROWS = 5.0", "PRIOR_ROWS = 10.0"),
    "strength of one shuffle more": ("SHUFFLES = 3", "SHUFFLES = 4"),
}
TRAINING_ROWS = {
    "independent categories kept": (
        "return found if found.strength",
        "return found if True or found.strength",
    ),
    "held-out rows not marked": ("np.isin(kept, exclude_self)", "np.isin(kept, [])"),
    "categories of held-out rows counted": ("fit(codes[training],", "fit(codes,"),
    "too few rows held out": ("min(least, int(MOST_HELD_OUT * n))", "0"),
    "reference rows not drawn": ("np.sort(rng.permutation(rows)[:most])", "rows[:most]"),
}
TABULAR_FIT = {
    "noise levels tenfold": (
        "geometric_levels(n_levels, parameters",
        "10 * geometric_levels(n_levels, parameters",
    ),
    "cooccurrence spreads less": ("COOCCURRENCE_TAIL = 1.0", "COOCCURRENCE_TAIL = 0.1"),
    "fewer rows suspected": ("SUSPECTED = 0.3", "SUSPECTED = 0.2"),
    "trained on calibration rows": ("= training[central[training]]", "= np.flatnonzero(central)"),
    "encoder fitted on all rows": ("encoder.fit(frame.iloc[training], ", "encoder.fit(frame, "),
    "screened rows find themselves": (
        "np.arange(len(frame)) if screening else held_out",
        "held_out",
    ),
    "trimmed rows are references": (
        "np.flatnonzero(central), exclude",
        "np.arange(len(frame)), exclude",
    ),
    "components weigh the same": (
        "replace(calibration, weights=weights, ",
        "replace(calibration, ",
    ),
    "only the mean": ("maximum_share=MAXIMUM_SHARE)", "maximum_share=0.0)"),
    "subsets in arbitrary units": (
        "subset_searches=measured)",
        "subset_searches=ensemble.subset_searches)",
    ),
}
ROW_COMPONENTS = {
    "coords counted, not columns": ("(seen / whole).mean(1)", "seen.sum(1) / whole.sum(1)"),
}
CALIBRATION = {
    "mean and deviation swapped": ("cls(surprisals, mean, std, ", "cls(surprisals, std, mean, "),
    "errors as they are": ("if self.surprisals is not None", "if False"),
    "components of unlike spread": (".mean(1) / spread for", ".mean(1) for"),
    "larger least spread": ("MIN_SPREAD = 1e-6", "MIN_SPREAD = 1e-4"),
    "weights without effect": ("[w * each for", "[each for"),
    "maximum of components without weights": (
        "torch.stack(weighted).amax(0)",
        "torch.stack([*standard]).amax(0) / len(weighted)",
    ),
}
NOISE = {
    "noise not antithetic": ("[half, -half]", "[half, half]"),
    "signs of unlike sizes": ("event_shape, seed).sign()", "event_shape, seed)"),
}
TRAINING = {
    "entries of a column given apart": ("given = given[:, groups]", "given = given[:, groups * 0]")
}
CONFORMAL = {
    "the row itself not counted": (
        "(1 + n - smaller)",
        "(n - smaller)",
    ),
    "likely rows flagged in screening": ("n - smaller <= alpha", "n - smaller > alpha"),
    "ranks of screening reversed": ("(n - smaller) / n", "smaller / n"),
    "ties tenfold": ("TIE = 1e-5", "TIE = 1e-4"),
    "ties without effect": ("scores + TIE *", "scores + 0 *"),
}
BASE = {
    "low scores flagged": (
        "self.model_.score_frame(frame)\n        p_values",
        "self.model_.score_frame(frame)\n        scores = -scores\n        p_values",
    ),
    "offset of the wrong sign": ("threshold, -threshold, alpha", "threshold, threshold, alpha"),
    "score_samples of the wrong sign": ("return -self.", "return self."),
}
WINDOW_SCORES = {
    "network of series left out": ("NETWORK_WEIGHT = 0.5", "NETWORK_WEIGHT = 0.0"),
    "largest component left out": ("+= F.one_hot(others", "+= 0 * F.one_hot(others"),
    "mean of components left out": ("/= weights[:-1].sum(0).clamp(min=1)", "*= 0"),
    "noise floors ignored": ("spread + torch.tensor(noise", "spread + 0 * torch.tensor(noise"),
    "mean and spread swapped": ("return cls(mean, spread + ", "return cls(spread, mean + "),
    "network's windows with their means": ("x = without_means(windows, seen)", "x = windows"),
    "moves not scaled by the noise": ("self.sigma**2 / (1 + self.sigma**2)", "1.0"),
    "contributions in unlike units": ("(weights / self.spread[:, None])", "weights"),
}
ATTRIBUTION = {
    "columns expected at less noise": ("ATTRIBUTION_SIGMA = 4.0", "ATTRIBUTION_SIGMA = 3.0"),
    "shares do not add up": ("* weights / weights.sum(1, keepdim=True)", "* weights"),
}
CONSTANTS = {
    "gaps filled at less noise": ("IMPUTATION_SIGMA = 2.5", "IMPUTATION_SIGMA = 1.5"),
    "narrower intervals": ("TAIL = 0.05", "TAIL = 0.1"),
}
ROW_REPAIR = {"rows repaired too far": ("safely_below(threshold), cells", "threshold - 1.0, cells")}
STEP_REPAIR = {"steps repaired too far": ("safely_below(threshold), part", "threshold - 1.0, part")}
ROW_IMPUTER = {"guesses of cells weigh alike": ("(guesses * weights).sum(0)", "guesses.mean(0)")}
WINDOW_IMPUTER = {
    "guesses of steps weigh alike": ("(stack.weights * guesses).sum(0)", "guesses.mean(0)"),
    "gaps drawn without residuals": ("drawn += stack.drawn", "drawn += 0 * stack.drawn"),
}
FORECASTER = {
    "paths without residuals": ("+ self.draw(n_draws", "+ 0 * self.draw(n_draws"),
    "forecasts without weights": (
        "return (self.weights[:, None] * guesses).sum(0)",
        "return guesses.mean(0)",
    ),
}
FDR = {"half the discoveries": ("<= q * (1 + ROUNDING)", "<= q / 2")}

ADVANCING = {
    "sorted files advance": ("is_date or known or not _sorted_on_purpose(present)", "True"),
    "noisy measurements advance": ("if not is_date and moves >", "if False and moves >"),
    "years tell no order": ("return bool(inside and", "return bool(False and"),
    "parts of years tell no order": (
        "    for times, last in PARTS_OF_YEARS",
        "    for times, last in ()",
    ),
}
BLOCKS = {
    "groups of any size are batches": ("sizes.var() < SAME_SIZE", "sizes.var() < 1e9 * SAME_SIZE"),
    "sorted ages are counts of events": ("distance < DISTANCE and unlike > NEIGHBOURS", "True"),
}
ROW_ORDER = {
    "others need not be alike in blocks": (
        "and not blocked.depends_on_blocks(cells, others)",
        "and True",
    ),
}
DISAGREEMENT = {
    "odd rows at the end are drift": ("((last, n), (middle, last))", "((last, n), (last, n))"),
}
NUMBER_TEXTS = {
    "points never set off thousands": ("if points_for_thousands(texts):", "if False:"),
    "any unit is read": ("* pd.Series(units).map(known).to_numpy(dtype=float)", ""),
}
PARSING = {"no share is too much": ("if n > (math.ceil", "if False and n > (math.ceil")}
DATETIME_CODEC = {
    "later timestamps have a place": ("trend=not cycles", "trend=True"),
}
MISSING_CELLS = {
    "missing cells add nothing": ("SHARE_OF_SCORE = 0.4", "SHARE_OF_SCORE = 0.0"),
    "patterns not known": ("return found[of_row][:, None]", "return found[of_row][:, None] + 9"),
}
TABULAR_MODEL = {"drift does not calibrate": ("if drifting is None:", "if True:")}
FILES = {
    **OF_SERIES,
    "encoding/advancing.py": ADVANCING,
    "encoding/blocks.py": BLOCKS,
    "encoding/disagreement.py": DISAGREEMENT,
    "encoding/row_order.py": ROW_ORDER,
    "encoding/number_texts.py": NUMBER_TEXTS,
    "encoding/parsing.py": PARSING,
    "encoding/datetime_codec.py": DATETIME_CODEC,
    "scoring/missing_cells.py": MISSING_CELLS,
    "models/tabular_model.py": TABULAR_MODEL,
    "scoring/reconstruction.py": RECONSTRUCTION,
    "scoring/reconstruction_component.py": RECONSTRUCTION_COMPONENT,
    "scoring/ensemble.py": ENSEMBLE,
    "reference/subset_search.py": SUBSET_SEARCH,
    "scoring/surprisal.py": SURPRISAL,
    "scoring/separation.py": SEPARATION,
    "models/corruption.py": CORRUPTION,
    "reference/nearest.py": NEAREST,
    "reference/reference_set.py": REFERENCE_SET,
    "scoring/cooccurrence.py": COOCCURRENCE,
    "models/training_rows.py": TRAINING_ROWS,
    "models/tabular_fit.py": TABULAR_FIT,
    "models/row_components.py": ROW_COMPONENTS,
    "scoring/calibration.py": CALIBRATION,
    "diffusion/noise.py": NOISE,
    "diffusion/training.py": TRAINING,
    "thresholds/conformal.py": CONFORMAL,
    "detectors/base.py": BASE,
    "scoring/window_scores.py": WINDOW_SCORES,
    "explain/attribution.py": ATTRIBUTION,
    "conditional/constants.py": CONSTANTS,
    "explain/row_counterfactuals.py": ROW_REPAIR,
    "explain/segment_counterfactuals.py": STEP_REPAIR,
    "conditional/row_imputer.py": ROW_IMPUTER,
    "conditional/window_imputer.py": WINDOW_IMPUTER,
    "conditional/forecaster.py": FORECASTER,
    "thresholds/fdr.py": FDR,
}
MUTANTS = [
    Mutant(name, file, *texts) for file, changes in FILES.items() for name, texts in changes.items()
]
