r"""Ridge regression of several channels whose error on rows left out is known.

With Gram matrices :math:`G_k = X_k^T X_k` and products :math:`B_k = X_k^T Y_k` of the rows of each
fold, the weights without fold :math:`k` solve :math:`(G - G_k + \lambda I) W = B - B_k`: rows are
read once, whatever is left out and whatever the penalty.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

__all__ = ["FOLDS", "NormalEquations", "Rows", "chosen_penalty", "predicted", "row_blocks"]

# Parts that training is cut into; what is expected of each is learned from the others.
FOLDS = 5
# Penalties tried, in rows.
PENALTIES = 1.0, 10.0, 100.0
# Rows whose features are held at a time.
FEATURE_ROWS = 20_000

# Features, channels (NaN where missing) and folds of some rows.
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass
class NormalEquations:
    """Sums over the rows of each fold; Gram matrices are shared by channels without gaps.

    Attributes
    ----------
    gram : ndarray of shape (fold, 1 or channel, feature, feature)
        Squares of the features, of the rows that a channel has.
    product : ndarray of shape (fold, channel, feature)
        Features times channels.
    """

    gram: Float[np.ndarray, "fold group feature feature"]
    product: Float[np.ndarray, "fold channel feature"]

    @classmethod
    def sum(cls, rows: Iterable[Rows], n_channels: int, whole: bool) -> "NormalEquations":
        """Sum over blocks of rows, at least one; ``whole`` tells that no channel has a gap."""
        groups = 1 if whole else n_channels
        gram, product = np.zeros(0), np.zeros(0)
        for features, channels, folds in rows:
            if not gram.size:
                n_features = features.shape[1]
                gram = np.zeros((FOLDS, groups, n_features, n_features))
                product = np.zeros((FOLDS, n_channels, n_features))
            known = ~np.isnan(channels)
            cells = np.where(known, channels, 0.0)
            for k in np.unique(folds).tolist():
                own = features[folds == k]
                product[k] += cells[folds == k].T @ own
                for group in range(groups):
                    seen = own if whole else own[known[folds == k, group]]
                    gram[k, group] += seen.T @ seen
        return cls(gram, product)

    def solve(
        self,
        penalty: float,
        without: int | None = None,
        prior: Float[np.ndarray, "channel feature"] | None = None,
    ) -> Float[np.ndarray, "channel feature"]:
        """Weights, learned from all folds or all but one, drawn to those of ``prior`` or to 0."""
        gram, product = self.gram.sum(0), self.product.sum(0)
        if without is not None:
            gram, product = gram - self.gram[without], product - self.product[without]
        if prior is not None:
            shape = (len(product), *gram.shape[1:])
            product = product - np.einsum("cij,cj->ci", np.broadcast_to(gram, shape), prior)
        matrix = gram + penalty * np.eye(gram.shape[-1])
        if len(gram) == 1:
            found = np.linalg.solve(matrix[0], product.T).T
        else:
            found = np.linalg.solve(matrix, product[:, :, None])[:, :, 0]
        return found if prior is None else prior + found


def chosen_penalty(rows: Iterable[Rows], equations: NormalEquations) -> float:
    """Penalty with the least squared error on the rows of folds left out."""
    weights = {
        penalty: np.stack([equations.solve(penalty, k) for k in range(FOLDS)])
        for penalty in PENALTIES
    }
    errors = dict.fromkeys(PENALTIES, 0.0)
    for features, channels, folds in rows:
        for penalty, own in weights.items():
            errors[penalty] += float(np.nansum((channels - predicted(features, folds, own)) ** 2))
    return min(errors, key=lambda penalty: errors[penalty])


def predicted(
    features: Float[np.ndarray, "row feature"],
    folds: Int[np.ndarray, "row"],
    weights: Float[np.ndarray, "fold channel feature"],
) -> Float[np.ndarray, "row channel"]:
    """What the weights of each row's fold say."""
    found = np.empty((len(features), weights.shape[1]))
    for k in np.unique(folds).tolist():
        found[folds == k] = features[folds == k] @ weights[k].T
    return found


def row_blocks(n_rows: int) -> Iterator[slice]:
    """Cut rows into blocks whose features fit into memory."""
    for start in range(0, n_rows, FEATURE_ROWS):
        yield slice(start, start + FEATURE_ROWS)
