"""Components of the score of encoded rows, however many."""

import torch
from torch import Tensor

from anomdiff.encoding.table import TableEncoder
from anomdiff.models.encoded_rows import category_codes
from anomdiff.models.parallel import map_blocks
from anomdiff.scoring.ensemble import Ensemble

__all__ = ["SCORED_AT_ONCE", "row_components"]

# Rows scored at once: bounds memory without slowing the matrix products.
SCORED_AT_ONCE = 2048


def row_components(
    encoder: TableEncoder, ensemble: Ensemble, values: Tensor, observed: Tensor
) -> list[Tensor]:
    """Components of encoded rows, (row, level) each, blocks of rows side by side."""

    def of_block(block: tuple[Tensor, Tensor]) -> list[Tensor]:
        codes = None if ensemble.cooccurrence is None else category_codes(encoder, *block)
        return ensemble.components(*block, _observed_share(encoder, block[1]), codes)

    blocks = zip(values.split(SCORED_AT_ONCE), observed.split(SCORED_AT_ONCE), strict=True)
    found = map_blocks(of_block, list(blocks))
    return [torch.cat(component) for component in zip(*found, strict=True)]


def _observed_share(encoder: TableEncoder, observed: Tensor) -> Tensor:
    """Share of each row's columns that is observed; at least one column's worth."""
    if observed.all():
        return torch.ones(len(observed), dtype=torch.float64)
    everything = torch.ones_like(observed[:1])
    seen, whole = (encoder.fold(mask.double().numpy()) for mask in (observed, everything))
    return torch.from_numpy((seen / whole).mean(1)).clamp(min=1 / seen.shape[1])
