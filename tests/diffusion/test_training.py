import itertools

import pytest
import torch

from anomdiff.diffusion.checkpoint import read_checkpoint, write_checkpoint
from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.networks import ResidualMLP
from anomdiff.diffusion.training import TrainingConfig, train
from tests.oracles import GaussianDenoiser, correlated_gaussian

SHORT = TrainingConfig(max_iter=40, batch_size=64, warmup=5, evaluate_every=10)


class Stop(Exception):
    """Interrupts a training run, as a crash would."""


def untrained(width=16):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Denoiser(ResidualMLP(2, width=width, n_blocks=1))


def run(config=SHORT, seed=3, **options):
    values, _ = correlated_gaussian(500)
    observed = torch.ones(500, 2, dtype=torch.bool)
    return train(
        untrained(),
        values[:400],
        observed[:400],
        (values[400:], observed[400:]),
        config,
        seed,
        **options,
    )


def weights(result):
    return result.denoiser.state_dict().values()


def test_the_trained_denoiser_approaches_the_exact_gaussian_one():
    values, covariance = correlated_gaussian(6000)
    observed = torch.ones_like(values, dtype=torch.bool)
    config = TrainingConfig(max_iter=400, batch_size=256)

    result = train(
        untrained(64), values[:5000], observed[:5000], (values[5000:], observed[5000:]), config, 0
    )

    x, sigma = values[:50], torch.full((50,), 0.7, dtype=torch.float64)
    exact = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), covariance)
    for given in itertools.product([False, True], repeat=2):
        mask = torch.tensor(given).expand(50, 2)
        error = (result.denoiser(x, sigma, mask) - exact(x, sigma, mask)).detach()
        assert error.square().mean().sqrt() < 0.12


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = run(), run(), run(seed=4)

    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(again), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights(first), weights(other), strict=True))


@pytest.mark.parametrize("stop_at", [1, 17, 20])
def test_a_resumed_run_equals_an_uninterrupted_one(stop_at, tmp_path):
    path = tmp_path / "state"

    def interrupt(state):
        if state.step == stop_at:
            write_checkpoint(state, path, "run")
            raise Stop

    with pytest.raises(Stop):
        run(on_step=interrupt)

    resumed = run(resume=read_checkpoint(path, "run"))

    whole = run()
    assert resumed.history == whole.history
    assert all(torch.equal(a, b) for a, b in zip(weights(resumed), weights(whole), strict=True))


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "state"
    run(on_step=lambda state: write_checkpoint(state, path, "one"))

    with pytest.raises(ValueError, match="same data and settings"):
        read_checkpoint(path, "other")


def test_no_checkpoint_means_a_fresh_start(tmp_path):
    assert read_checkpoint(tmp_path / "none", "run") is None


def test_training_stops_when_the_held_out_loss_does():
    values, _ = correlated_gaussian(40)
    observed = torch.ones_like(values, dtype=torch.bool)
    config = TrainingConfig(
        max_iter=5000, batch_size=64, evaluate_every=10, patience=3, learning_rate=0.01
    )

    result = train(
        untrained(64), values[:20], observed[:20], (values[20:], observed[20:]), config, 0
    )

    losses = [validation_loss for _, _, validation_loss, _ in result.history]
    assert result.history[-1][0] < 5000
    assert min(losses) == losses[-4]


def test_the_hook_sees_every_step():
    seen = []

    run(on_step=lambda state: seen.append(state.step))

    assert seen == list(range(1, 41))


class Recording(ResidualMLP):
    """A network that keeps which entries it was given."""

    def forward(self, x, given, c_noise):
        self.seen = [*getattr(self, "seen", []), given]
        return super().forward(x, given, c_noise)


@pytest.mark.parametrize("groups", [None, [0, 0, 1]])
def test_entries_of_a_group_are_given_together_and_others_apart(groups):
    network = Recording(3, width=8, n_blocks=1)
    values, observed = torch.randn(50, 3), torch.ones(50, 3, dtype=torch.bool)
    options = {} if groups is None else {"groups": torch.tensor(groups)}

    train(Denoiser(network), values, observed, (values, observed), SHORT, 0, **options)

    given = torch.cat(network.seen)
    assert ((given[:, 0] == given[:, 1]).all().item()) == (groups is not None)
    assert (given[:, 1] != given[:, 2]).any()
    assert 0.1 < given.double().mean() < 0.4  # half of the rows show half of their entries
