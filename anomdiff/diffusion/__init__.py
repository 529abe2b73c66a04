"""Noise, denoisers, training and sampling: the mathematics of the diffusion model; torch only.

noise.py        how much noise: levels, their training distribution, the noise bank
denoiser.py     removes it: the posterior mean of clean data; the loss it is trained with
networks.py     the raw functions inside, for rows and for windows
training.py     one training loop: weight averaging, early stop, exact resume
checkpoint.py   a training run on disk, between two steps
distributed.py  several processes that train one network
sampling.py     new events by Heun's method

In and out: tensors of shape ``(row, *event)`` of about unit variance, tables and windows alike.
"""
