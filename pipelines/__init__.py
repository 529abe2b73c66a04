"""Recipes for schedulers: one file per job, and example settings in `configs/`.

In: a settings file (TOML) and options; out: what the job writes. The jobs themselves are
`anomdiff.jobs`, and `anomdiff NAME` runs them too. May import only `anomdiff.cli`.
"""
