import torch

from anomdiff.conditional.forecaster import Forecaster
from anomdiff.diffusion.noise import seeded


def wave_windows(n=300, length=48, scale=1.0):
    steps = torch.arange(n)[:, None] + torch.arange(length)
    noise = torch.randn(n, 1, length, generator=seeded(0))
    return scale * (torch.sin(steps / 4)[:, None] + 0.1 * noise).double(), torch.arange(n)


def test_weights_are_a_mixture_and_residuals_are_what_is_left():
    forecaster = Forecaster.fit(*wave_windows(), horizon=16)

    assert (forecaster.weights >= 0).all()
    torch.testing.assert_close(forecaster.weights.sum(0), torch.ones(1, 16, dtype=torch.float64))
    assert forecaster.residuals.std() < 0.15  # the noise is 0.1
    assert abs(forecaster.residuals.mean()) < 0.03


def test_a_forecast_scales_and_moves_with_its_data():
    one, ten = (Forecaster.fit(*wave_windows(scale=s), horizon=16) for s in (1.0, 10.0))
    past = wave_windows()[0][:5, :, 3:35]
    nothing = torch.zeros(0, 1, dtype=torch.float64)

    ahead = one.mean(past, nothing)

    torch.testing.assert_close(ten.mean(10 * past + 7, nothing), 10 * ahead + 7)
