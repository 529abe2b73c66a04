"""Blocks of rows side by side: one thread a block scales, many threads on one block do not."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

__all__ = ["map_blocks", "torch_threads"]


def map_blocks(function: Callable, blocks: Sequence) -> list:
    """Apply a function to each block, as many at a time as torch may use threads, in order.

    The function is to spend its time in torch and numpy.
    """
    n_threads = min(torch.get_num_threads(), len(blocks))
    if n_threads < 2:
        return [function(block) for block in blocks]
    with torch_threads(1), ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, blocks))


@contextmanager
def torch_threads(n: int):
    """Let torch use ``n`` threads per operation for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
