"""Mutations of the detection in series, by file: a name, a text, and another."""

__all__ = ["OF_SERIES"]

SLIDING_WINDOWS = {
    "windows with gaps not rescaled": ("errors.sum(2) / share / ", "errors.sum(2) / "),
    "windows with more gaps scored": ("LEAST_SHARE = 0.5", "LEAST_SHARE = 0.4"),
    "residuals of few windows count": ("torch.where(few, torch.nan, found)", "found"),
    "more of the error is noise": ("NOISE = 1e-3", "NOISE = 2e-3"),
}
WINDOW_BANK = {
    "more of the levels is noise": ("LEVEL_NOISE = 0.1", "LEVEL_NOISE = 0.2"),
    "reference windows with their means": (
        "return without_means(windows, observed)",
        "return windows",
    ),
    "levels not scaled like windows": (" * length**0.5", ""),
    "single steps with neighbours compared": (
        "max(2 * self.length, LEAST_APART)",
        "2 * self.length",
    ),
    "overlapping windows compared": ("overlapping[rows[inside], band[inside]] = True", "pass"),
}
STEP_REGRESSION = {
    "fewer neighbours": ("REACH = 8", "REACH = 7"),
    "firmer ridge": ("RIDGE = 1e-2", "RIDGE = 2e-2"),
}
CHANNEL_REGRESSION = {
    "noisier channels": ("CHANNEL_NOISE = 0.01", "CHANNEL_NOISE = 0.02"),
    "training judged by itself": ("(whole - gram) / max(1, len(x) - len(part))", "whole / len(x)"),
    "errors not those of the channel that is off": (
        "self._shares(standard, known)",
        "standard.square() / standard.square().sum(1, keepdim=True)",
    ),
    "steps judged where most channels are missing": (
        "seen.double().mean(1, keepdim=True) >= LEAST_SHARE",
        "seen.any(1, keepdim=True)",
    ),
}
SEGMENTS = {
    "trained on held-out ends": (
        "draw_windows(training, length, most",
        "draw_windows(segments, length, most",
    ),
    "level bank left out": ("if LEVEL_LENGTH in lengths and", "if 0 in lengths and"),
    "one reference window too few": (
        "max(2, max_reference // n",
        "max(2, (max_reference - 1) // n",
    ),
}
WINDOW_CALIBRATION = {
    "optimism of the network kept": ("= optimism(errors[-1], torch.cat(unseen))", "= 1.0"),
    "calibrated on overlapping windows": (
        "segment_residuals(together, segment, True)",
        "segment_residuals(together, segment, False)",
    ),
}
WINDOW_MODEL = {
    "screened with overlapping windows": (
        "found = segment_residuals(components, segment, exclude_self)",
        "found = segment_residuals(components, segment, False)",
    ),
    "levels of unknown series scored": ("bank if known or not", "bank if True or not"),
    "regression left out": (
        "return [*banks, self.regression, network]",
        "return [*banks, network, network]",
    ),
}
EXCURSIONS = {
    "segments never end": ("peak - low >= drawdown", "False"),
    "segments of any length": ("or too_long:", "or False:"),
    "totals above zero": (
        "found.append(Excursion(runs[first][0], runs[last][1], peak - base))",
        "found.append(Excursion(runs[first][0], runs[last][1], peak))",
    ),
}
RESIDUAL_TAILS = {
    "surprisals without a limit": ("found.clamp(max=MOST_SURPRISAL)", "found"),
}
STEP_EVIDENCE = {
    "segments end with their block": ("if each.start < edge < each.stop", "if False"),
    "one tail for all channels": ("if tail[2] >= OWN_TAIL and", "if False and"),
    "segments not trimmed": (
        "_named(self._trim(segment, surprisals), surprisals)",
        "_named(segment, surprisals)",
    ),
    "all segments kept": ("if stronger.mean() <= limit:", "if True:"),
    "any evidence counts": (
        "searchsorted(covered, MOST_COVERED * n_steps)",
        "searchsorted(covered, n_steps)",
    ),
    "the first channel is named": ("int(inside.nansum((0, 1)).argmax())", "0"),
}
STEP_SCORES = {
    "scores do not fall off": ("return scores - FALL * away * excess", "return scores"),
    "evidence does not lift": ("falling + self.per_nat * (", "falling + 0.0 * ("),
    "evidence alone raises nothing": ("lifted.clamp(min=self.raised)", "lifted"),
}
LOCAL_VARIATION = {
    "steps beside gaps count": ("observed[1:] & observed[:-1]", "observed[1:]"),
}
SEGMENT_ERRORS = {
    "single steps trimmed": ("if n == 1 or kind is", "if kind is"),
}
OF_SERIES = {
    "reference/sliding_windows.py": SLIDING_WINDOWS,
    "reference/window_bank.py": WINDOW_BANK,
    "scoring/step_regression.py": STEP_REGRESSION,
    "scoring/channel_regression.py": CHANNEL_REGRESSION,
    "reference/segments.py": SEGMENTS,
    "models/window_calibration.py": WINDOW_CALIBRATION,
    "models/window_model.py": WINDOW_MODEL,
    "scoring/excursions.py": EXCURSIONS,
    "scoring/residual_tails.py": RESIDUAL_TAILS,
    "scoring/step_evidence.py": STEP_EVIDENCE,
    "scoring/step_scores.py": STEP_SCORES,
    "scoring/local_variation.py": LOCAL_VARIATION,
    "models/segment_errors.py": SEGMENT_ERRORS,
}
