"""The tuned numbers of this room, each under one name.

They were chosen in trials; ``python -m benchmarks.tasks --data DIR`` measures what they achieve
together (its figures: benchmarks/README.md, "Answers").
"""

# Noise at which nothing is left of a missing entry, in standard deviations.
IMPUTATION_SIGMA = 2.5
# Neighbours averaged, one guess each, of rows and of windows.
ROW_NEIGHBOURS, WINDOW_NEIGHBOURS = (5, 20, 60), (5, 20)
# Entries beyond which a covariance matrix takes too long to solve for every pattern of gaps.
MAX_GAUSSIAN = 256

# Missing cells of rows. A draw starts from one of so many nearest rows, with so much noise.
DONORS, DONOR_SIGMA = 20, 0.3
# Where draws end, and in how many steps.
LEAST_SIGMA, N_STEPS = 0.02, 10
# Held-out rows with cells removed, draws of each, and the fewest that set a spread.
ROW_TRIALS, TRIAL_DRAWS, LEAST_TRIALS = 1000, 36, 20
# Fewer are used, but so many at least, where rows have so many coords that their entries are more.
TRIAL_ENTRIES, LEAST_ROWS_TRIED = 2**19, 100
# Largest share of the columns removed from them; few are removed more often than many.
MOST_GAPS = 0.7
# Share of them that intervals are to hold, and bounds of the factor that sees to it.
COVERED, SPREADS = 0.9, (0.5, 3.0)
# Least standard deviation of draws, as a share of the typical error.
LEAST_NOISE = 0.5
# Weight that all columns together have in the weights of one, as a share of the trials.
POOLED = 0.02

# New rows. Share of a column's variance that another one explains if they stay together.
TOGETHER = 0.3
# Decimals beyond which the cells of a column count as unrounded.
MAX_DECIMALS = 6
# How draws may start: so many neighbours lend groups of columns, and so much noise is added.
# Each path leads away from the reference rows: by noise, by both, by neighbours.
SIGMAS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.4, 2.0, 2.8, 4.0)
PATHS = (
    [(1, sigma) for sigma in SIGMAS],
    [(10, sigma) for sigma in SIGMAS],
    [(k, 0.1) for k in (5, 10, 20, 50, 100, 300, 1000, 100_000)],
)
# How far from the reference draws must be, in median distances of held-out rows or windows.
FAR_ENOUGH = 0.9
# Share of held-out rows that are nearer to another than a draw may be, and how often it is redrawn.
TOO_NEAR, N_AGAIN = 0.01, 3
# Share of the groups of columns that a new row keeps of the row it starts from.
KEPT = 0.5
# Draws that show how marginals, distances, and all columns together come out.
ROW_MARGINAL, ROW_DISTANCES, ROW_COMPARED = 3000, 300, 1500

# Missing steps. Steps of a window, at most: a regression is solved for every mask.
MAX_LENGTH = 64
# Reference windows used, and those that guesses are weighed on: for gaps, and for intervals.
IMPUTER_WINDOWS, IMPUTER_TRIALS, INTERVAL_WINDOWS, INTERVAL_TRIALS = 3000, 200, 800, 100
# The last part of the reference windows, which is completed from, or drawn like, what is before it.
LAST_PART = 0.2
# Share of a window of the series itself that must be observed for others to learn from it.
LEAST_OBSERVED = 0.8
# A value lies below its interval with this probability, and above it.
TAIL = 0.05
# A window of fewer steps says too little, even if it is all that a regression can hold.
LEAST_LENGTH = 16

# Forecasts. Windows whose ends are forecast to learn weights and residuals, at most; they lie in
# this last part of the reference windows; the regression is refitted that often on the way.
ORIGINS, LATE, REFITS = 400, 0.6, 4
# Regressions look back this many steps, and at all of the past.
SHORT_REACH = 64
# Variance, in variances of the past, that the regressions take for noise.
RIDGES = (1e-4, 1e-2)
# Squared bandwidths of the reference windows, in squared distances to the nearest of them.
BANDWIDTHS = (0.1, 0.5)
# Parts of the horizon, each with its own weights.
HORIZON_PARTS = 4

# New windows. Numbers of neighbours to try, from the fewest, and windows drawn for each.
NEIGHBOURS_TRIED = (3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500)
WINDOW_DISTANCES = 300
# Windows drawn at least to see how values come out, and quantiles compared.
WINDOW_MARGINAL, WINDOW_QUANTILES = 300, 1001
# Consecutive reference windows are linked that share this much of their steps.
LINKED = 0.25
