"""New rows, from the network and the reference rows of a fitted model.

Nothing is trained here. A reference row that is noised and denoised is another draw from the
data. Where network and reference rows err is measured on held-out rows, and put right: marginals,
dependencies between columns, distance from copies.
"""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score
from torch import Tensor

from anomdiff.conditional import constants as tuned
from anomdiff.conditional.draws import check_count, generator_of, quantile_map
from anomdiff.conditional.reference_rows import ReferenceRows
from anomdiff.diffusion.noise import karras_levels, seeded
from anomdiff.diffusion.sampling import sample
from anomdiff.models.progress import progressed
from anomdiff.models.tabular_model import TabularModel
from anomdiff.reference.conditional_means import nearest_distances, pick, recombine

__all__ = ["sample_rows"]

Rows = Float[Tensor, "row coord"]
RowMask = Bool[Tensor, "row coord"]


def sample_rows(
    model: TabularModel,
    n: int,
    conditions: dict | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> pd.DataFrame:
    """Draw new rows; see ``TabularDetector.sample``."""
    check_count("n", n, optional=False)
    reference, conditions = ReferenceRows.of(model), conditions or {}
    values, given = reference.conditions(conditions, n)
    generator = generator_of(random_state)
    frame = reference.cells(_new_events(reference, values, given, generator), generator)
    for name, value in conditions.items():  # a rare category decodes as the commonest rare one
        cells = pd.Series(value if np.ndim(value) else [value] * n, dtype=object)
        frame[name] = cells.astype(frame[name].dtype)
    return frame


def _new_events(
    reference: ReferenceRows, values: Rows, given: RowMask, generator: torch.Generator
) -> Rows:
    """Draw rows, conditioned on what is given, with the marginals of the reference rows.

    How the marginals come out is seen on many rows drawn with nothing given: these, or others
    drawn besides. Rows that come too near to a reference row are drawn again.
    """
    start = reference.model.derived("sampling_start", lambda: _find_start(reference))
    n_more = tuned.ROW_MARGINAL if given.any() else tuned.ROW_MARGINAL - len(values)
    drawn = _redrawn(reference, reference.rows, values, given, start, generator)
    more = torch.zeros(max(n_more, 0), values.shape[1]).to(values)
    free = _redrawn(reference, reference.rows, more, more > 0, start, generator)
    maps = _quantile_maps(reference, free if given.any() else torch.cat([drawn, free]))
    events = torch.where(given, values, _mapped(drawn, maps))
    too_near = reference.distances.quantile(tuned.TOO_NEAR)
    for _ in range(tuned.N_AGAIN):
        far = nearest_distances(reference.as_cells(events, seeded(5)), reference.rows)
        near = torch.nonzero(far < too_near)[:, 0]
        if not len(near):
            break
        again = _redrawn(reference, reference.rows, values[near], given[near], start, generator)
        events[near] = torch.where(given[near], values[near], _mapped(again, maps))
    return events


def _find_start(reference: ReferenceRows) -> tuple[int, float]:
    """Of the starts far enough from the reference rows, the one with the likeliest draws.

    On every path it is the first that takes draws about as far as held-out rows are; of these,
    the one whose draws a classifier confuses most with reference rows.
    """
    starts = [_far_enough(reference, path) for path in progressed(tuned.PATHS, "sample", "trial")]
    differences = [_difference(reference, each) for each in progressed(starts, "sample", "trial")]
    return starts[int(np.argmin(differences))]


def _far_enough(reference: ReferenceRows, path) -> tuple[int, float]:
    """First start of a path that leads far enough."""
    far = tuned.FAR_ENOUGH * reference.distances.median()
    for start in path:
        drawn = _trial(reference, start, tuned.ROW_DISTANCES)
        if nearest_distances(drawn, reference.rows[reference.others]).median() >= far:
            break
    return start


def _difference(reference: ReferenceRows, start: tuple[int, float]) -> float:
    """AUROC of telling draws from reference rows."""
    order = torch.randperm(len(reference.rows), generator=seeded(6))[: tuned.ROW_COMPARED]
    real = reference.as_cells(reference.rows[order], seeded(4))
    both = torch.cat([real, _trial(reference, start, len(real))]).numpy()
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    classifier = HistGradientBoostingClassifier(max_iter=50, random_state=0)
    is_drawn = np.arange(len(both)) >= len(real)
    return cross_val_score(classifier, both, is_drawn, cv=folds, scoring="roc_auc").mean()


def _trial(reference: ReferenceRows, start: tuple[int, float], n_rows: int) -> Rows:
    """Encoded cells of rows drawn from all reference rows but the held-out ones."""
    others = reference.rows[reference.others]
    values = torch.zeros(max(n_rows, tuned.ROW_MARGINAL // 3), others.shape[1]).to(others)
    drawn = _redrawn(reference, others, values, values > 0, start, seeded(3))
    mapped = _mapped(drawn, _quantile_maps(reference, drawn))
    return reference.as_cells(mapped[:n_rows], seeded(4))


def _redrawn(reference: ReferenceRows, rows, values, given, start, generator) -> Rows:
    """Recombine reference rows like what is given, noise them, and denoise them."""
    (k, sigma), n_groups = start, int(reference.group.max()) + 1
    if given.any():
        picked = pick(rows, values, given, max(k, tuned.DONORS), n_groups, generator)
        own = picked[0]
    else:
        order = torch.randperm(len(rows), generator=generator)
        own = order[torch.arange(len(values)) % len(rows)]
        picked = pick(rows, rows[own], ~given, k, n_groups, generator)
    kept = torch.rand(picked.shape, generator=generator) < (tuned.KEPT if k > 1 else 1.0)
    mixed = recombine(rows, torch.where(kept, own, picked), reference.group)
    levels = karras_levels(tuned.N_STEPS, tuned.LEAST_SIGMA, sigma)
    return sample(reference.model.denoiser, values, given, levels, generator, mixed)


def _quantile_maps(reference: ReferenceRows, drawn: Rows) -> dict:
    """Map of each measured coord from draws to reference cells, where neither are all missing."""
    missing, maps = reference.by_coord(reference.decode(drawn).isna()), {}
    for coord in torch.nonzero(reference.measured)[:, 0].tolist():
        here = drawn[~missing[:, coord], coord]
        there = reference.rows[~reference.missing[:, coord], coord]
        if len(here) and len(there):
            maps[coord] = quantile_map(here, there)
    return maps


def _mapped(drawn: Rows, maps: dict) -> Rows:
    """Draws with every measured coord mapped."""
    mapped = drawn.clone()
    for coord, to_reference in maps.items():
        mapped[:, coord] = to_reference(drawn[:, coord])
    return mapped
