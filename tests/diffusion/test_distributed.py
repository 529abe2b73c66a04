"""Laws of training in several processes; as a script under torchrun, this file is the processes."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from anomdiff import TabularDetector
from anomdiff.diffusion import distributed
from anomdiff.diffusion.denoiser import Denoiser, denoising_loss
from anomdiff.diffusion.networks import ResidualMLP
from anomdiff.diffusion.training import TrainingConfig, train
from tests.oracles import correlated_gaussian
from tests.tables import mixed_table

pytestmark = pytest.mark.xdist_group("torchrun")  # the processes are started once
SHORT = TrainingConfig(max_iter=30, batch_size=65, warmup=5, evaluate_every=10)
SMALL = {"max_iter": 20, "width": 16, "n_blocks": 1, "progress": True}


def untrained():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Denoiser(ResidualMLP(2, width=16, n_blocks=1))


def holes(n):
    """Some cells of both columns are missing, and more in the second."""
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(1)) > torch.tensor([0.1, 0.4])


def gradients():
    """Gradients of one batch, and its loss."""
    denoiser, values, observed = untrained(), correlated_gaussian(65)[0].float(), holes(65)
    noise = torch.randn(65, 2, generator=torch.Generator().manual_seed(2))
    batch = values, observed, torch.linspace(0.1, 2, 65), noise, ~observed
    mine = [distributed.own_rows(tensor) for tensor in batch]
    loss = denoising_loss(denoiser, *mine)
    loss.backward()
    loss = distributed.average_gradients(denoiser, loss, mine[1].sum())
    return [loss, *(parameter.grad for parameter in denoiser.parameters())]


def trained():
    values, observed = correlated_gaussian(500)[0], holes(500)
    held_out = values[400:], observed[400:]
    return train(untrained(), values[:400], observed[:400], held_out, SHORT, 3)


def fitted(**parameters):
    """A detector, and the steps at which its hook was called."""
    seen = []
    detector = TabularDetector(**SMALL, **parameters)
    detector.fit(mixed_table(200, seed=0), on_step=lambda state: seen.append(state.step))
    return detector, seen


def complaint():
    try:
        fitted(random_state=distributed.rank())
    except ValueError as error:
        return str(error)


def work(folder):
    torch.set_num_threads(1)
    with distributed.joined() as rank:
        result = trained()
        checkpoint = folder / f"checkpoint-{rank}"
        detector, seen = fitted(random_state=0, checkpoint=str(checkpoint))
        again, _ = fitted(random_state=0, checkpoint=str(checkpoint))
        found = {
            "ranks": (rank, distributed.world_size()),
            "gradients": gradients(),
            "weights": list(result.denoiser.state_dict().values()),
            "history": result.history,
            "scores": torch.from_numpy(detector.calibration_scores_),
            "resumed": torch.from_numpy(again.calibration_scores_),
            "seen": seen,
            "checkpoint": checkpoint.exists(),
            "complaint": complaint(),
        }
    torch.save(found, folder / f"{rank}.pt")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("processes")
    root = str(Path(__file__).parents[2])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*torchrun, "--nproc-per-node", "2", __file__, str(folder)],
        check=True, timeout=300, capture_output=True, text=True, cwd=root,
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def alone():
    return trained()


def test_a_process_alone_is_the_first_of_one():
    with distributed.joined() as rank:
        assert (rank, distributed.rank(), distributed.world_size()) == (0, 0, 1)

    assert distributed.from_first("mine") == "mine"
    assert torch.equal(distributed.own_rows(torch.arange(5)), torch.arange(5))


def test_torchrun_numbers_the_processes(both):
    assert [found["ranks"] for found in both] == [(0, 2), (1, 2)]


def test_averaged_gradients_are_those_of_the_whole_batch(both):
    for found in both:
        torch.testing.assert_close(found["gradients"], gradients())


def test_all_processes_end_with_the_same_weights(both):
    first, second = (found["weights"] for found in both)

    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert both[0]["history"] == both[1]["history"]


def test_the_course_of_training_is_that_of_one_process(both, alone):
    columns = ["step", "loss", "validation_loss", "learning_rate"]
    two, one = (pd.DataFrame(h, columns=columns) for h in (both[0]["history"], alone.history))

    pd.testing.assert_frame_equal(two, one, rtol=1e-3)
    expected = list(alone.denoiser.state_dict().values())
    torch.testing.assert_close(both[0]["weights"], expected, rtol=1e-2, atol=1e-3)


def test_a_detector_of_two_processes_scores_like_that_of_one(both):
    expected = torch.from_numpy(fitted(random_state=0)[0].calibration_scores_)

    for found in both:
        torch.testing.assert_close(found["scores"], expected, rtol=1e-2, atol=1e-3)


def test_only_the_first_process_writes_checkpoints_and_calls_hooks(both):
    assert [found["checkpoint"] for found in both] == [True, False]
    assert [found["seen"] for found in both] == [list(range(1, 21)), []]


def test_all_processes_resume_from_the_checkpoint_of_the_first(both):
    for found in both:
        torch.testing.assert_close(found["resumed"], found["scores"])


def test_processes_that_would_fit_different_models_say_so(both):
    for found in both:
        assert "got 2 different ones in 2 processes" in found["complaint"]


if __name__ == "__main__":
    work(Path(sys.argv[1]))
