"""Why a row or step scores as it does, and what would be normal in its place.

A fitted model and a checked frame come in, frames of contributions or repaired frames go out.
attribution: contribution of each part to a score. near_copies: fast components of copies of one
row, with row_changes, what they change, and network_of_copies, the network's part. localisation:
cells that an alarm is due to. counterfactuals: the search for few changes that make rows or
segments normal. These six are tensors only. row_explanation, step_explanation,
row_counterfactuals, segment_counterfactuals: the same for frames. changed_frame: checks of
repairs. reasons: contributions as flat cells and as a sentence. alarm_segments: flagged steps
joined; segment_kinds: what kind of fault each is. fleet: the series of a panel compared. May
import conditional, models and what is below.
"""
