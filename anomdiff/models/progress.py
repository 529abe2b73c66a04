"""What happens after each training step: the progress bar, the checkpoint, the caller's hook."""

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from tqdm.auto import tqdm

from anomdiff.diffusion.checkpoint import write_checkpoint
from anomdiff.diffusion.training import TrainingState

StepHook = Callable[[TrainingState], None]


@contextmanager
def progress_bar(total: int, *, shown: bool):
    """Give a hook that advances a bar; quiet where nobody watches (no terminal)."""
    with tqdm(total=total, desc="training", unit="step", disable=None if shown else True) as bar:

        def advance(state: TrainingState) -> None:
            bar.update(state.step - bar.n)
            if state.validation_loss is not None:
                bar.set_postfix(validation_loss=f"{state.validation_loss:.4f}")

        yield advance


def checkpointing(path: Path | None, fingerprint: str) -> StepHook | None:
    """Give a hook that writes a checkpoint whenever the held-out loss was measured."""
    if path is None:
        return None

    def write(state: TrainingState) -> None:
        if state.validation_loss is not None:
            write_checkpoint(state, path, fingerprint)

    return write


def chain(*hooks: StepHook | None) -> StepHook:
    """Call several hooks in turn."""
    present = [hook for hook in hooks if hook is not None]

    def call(state: TrainingState) -> None:
        for hook in present:
            hook(state)

    return call
