"""Progress bars of long work: on a terminal and in notebooks, with widgets or as text."""

import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

__all__ = ["progress_bar", "progressed", "showing"]

Item = TypeVar("Item")

# Whether the work that is being done now may show how far it is.
_shown: ContextVar[bool] = ContextVar("shown", default=False)
# Seconds after which an answer shows a bar: most take less.
PATIENCE = 1.0


@contextmanager
def showing(shown: bool) -> Iterator[None]:
    """Let ``progressed`` show bars, or not, for a while: a detector answers."""
    token = _shown.set(shown)
    try:
        yield
    finally:
        _shown.reset(token)


def progressed(
    items: Iterable[Item], name: str, unit: str = "row", total: int | None = None
) -> Iterator[Item]:
    """Give the items one by one; after a second a bar shows how many are done."""
    options = {"desc": name, "unit": unit, "total": total, "delay": PATIENCE}
    bar = progress_bar(_shown.get(), iterable=items, **options)
    with bar:
        yield from bar


def progress_bar(shown: bool, **options: Any) -> Any:
    """Bar of tqdm: a widget in notebooks that have these, else text; none where nobody watches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are no widgets: text does as well
        from tqdm.auto import tqdm
    watched = False if _in_notebook() else None  # None: where stderr is a terminal
    return tqdm(disable=watched if shown else True, **options)


def _in_notebook() -> bool:
    """Tell whether a notebook shows what this process writes."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
