"""Noise, denoisers, training and sampling: the mathematics of the diffusion model.

In come tensors of shape ``(row, *event)`` and about unit variance, tables and windows alike; out
come denoised or generated tensors of the same shape. The layout is the mathematics: ``noise`` says
how much noise, ``denoiser`` removes it, ``networks`` are the raw function inside, ``training`` fits
it, ``checkpoint`` stores a training run between two steps, ``sampling`` draws new events.

Imports torch and the standard library only, so that every line can be checked against a formula
and nothing here depends on what a row means.
"""
