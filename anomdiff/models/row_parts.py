"""What a detector learns beside the network: which rows to use, remember, and relate."""

import numpy as np
import torch
from torch import Tensor

from anomdiff.reference.local_scales import local_scales
from anomdiff.scoring.cooccurrence import Dependence


def split_rows(n: int, fraction: float, least: int, most: int, rng) -> tuple:
    """Shuffle row numbers; hold out a share of them, and as many as the threshold needs.

    Parameters
    ----------
    n : int
        Number of rows.
    fraction : float
        Share to hold out.
    least : int
        Rows to hold out if that is no more than 40 % of all.
    most : int
        Rows to hold out at most.
    rng : RandomState
        Shuffles.

    Returns
    -------
    training, held_out : int ndarray
        Row numbers.

    Raises
    ------
    ValueError
        If there are fewer than 4 rows.
    """
    if n < 4:
        raise ValueError(f"need at least 4 rows to train and calibrate; got {n} (n_samples={n}).")
    wanted = max(round(fraction * n), min(least, int(0.4 * n)))
    n_held_out = min(max(wanted, 1), most)
    order = rng.permutation(n)
    return order[n_held_out:], order[:n_held_out]


def remember(
    values: Tensor, rows: np.ndarray, shy: np.ndarray, most: int, views: Tensor, rng
) -> dict[str, Tensor]:
    r"""Keep rows, a random part where there are many.

    Parameters
    ----------
    values : float Tensor of shape (row, \*event)
        Rows as they are to be compared.
    rows : int ndarray
        Numbers of the rows that may be kept.
    shy : int ndarray
        Numbers of those that are not to vouch for copies of themselves.
    most : int
        Rows to keep at most.
    views : bool Tensor of shape (view, \*event)
        Entries of each view.
    rng : RandomState
        Draws.

    Returns
    -------
    memory : dict of Tensor
        The ``rows`` kept, their local ``scales`` of shape (view, memory), and ``shy``.
    """
    kept = np.sort(rng.permutation(rows)[:most])
    memory = values[kept].clone()
    scales = torch.stack([local_scales(memory[:, view]) for view in views])
    return {"rows": memory, "scales": scales, "shy": torch.from_numpy(np.isin(kept, shy))}


def relate(
    codes: Tensor, held_out: Tensor, sizes: list[int], share: float, seed: int
) -> tuple[Dependence | None, float]:
    """Learn which categories go together, and what that is worth in the score.

    Parameters
    ----------
    codes, held_out : int Tensor of shape (row, column)
        Categories of training and of held-out rows.
    sizes : list of int
        Number of codes of each column.
    share : float
        Part that categories have in the differences between rows.
    seed : int
        Seed of the shuffles that measure the dependence.

    Returns
    -------
    dependence : Dependence or None
        None where there is none to speak of.
    weight : float
        Weight of its voice: ``share`` times the strength of the dependence.
    """
    if len(sizes) < 2 or not len(held_out):
        return None, 0.0
    dependence = Dependence.fit(codes, held_out, torch.tensor(sizes))
    weight = share * dependence.strength(held_out, torch.Generator().manual_seed(seed))
    return (dependence, weight) if weight > 0 else (None, 0.0)
