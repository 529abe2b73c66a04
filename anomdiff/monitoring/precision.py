"""How many alarms are true, as far as scores without labels can tell."""

from typing import Any

from anomdiff.monitoring.scores import alarms_by_chance

__all__ = ["estimated_precision"]

# Probability that the interval covers.
COVERED = 0.9


def estimated_precision(
    alarms: int,
    rows: int,
    calibration: tuple[int, int],
    drifted: bool,
    run: float = 1.0,
) -> dict[str, Any]:
    r"""Estimate the share of true alarms of a batch from the false ones to expect.

    With ``m`` of ``n`` calibration scores above the threshold, a normal row alarms with
    probability :math:`a = (m + 1) / (n + 1)`, so that of :math:`A` alarms among :math:`r` rows
    about :math:`a r` are false and

    .. math:: 1 - a r / A

    is the precision, too low by at most the share of anomalies. It holds where the normal rows of
    the batch are exchangeable with those that calibrate: not after a drift. The interval takes in
    that so many calibration rows know :math:`a` with an error: it is a beta variable. Steps that
    alarm in runs of about :math:`l` count as :math:`1 / l` independent ones, in the batch and in
    calibration.

    Parameters
    ----------
    alarms, rows : int
        Of the batch.
    calibration : pair of int
        Rows that calibrate, and how many of them score above the threshold.
    drifted : bool
        Whether the batch has drifted.
    run : float, default=1.0
        Usual number of neighbouring rows that alarm together, 1 for rows of a table.

    Returns
    -------
    precision : dict
        JSON values: ``estimate``, ``low`` and ``high`` in [0, 1], None without alarms, where 90 %
        of batches of normal rows have so many false alarms; ``false_alarms`` to expect;
        ``trusted``; and ``says``, a sentence.
    """
    n, above = calibration
    false_alarms = float(alarms_by_chance(rows, n, above).mean())
    found = {"estimate": None, "low": None, "high": None, "false_alarms": false_alarms}
    if not alarms:
        return {**found, "trusted": False, "says": "there is no alarm whose precision to estimate"}
    tail = (1 - COVERED) / 2
    in_runs = alarms_by_chance(max(1, round(rows / run)), max(1, round(n / run)), above / run)
    least, most = run * float(in_runs.ppf(tail)), run * float(in_runs.isf(tail))
    ends = {"estimate": false_alarms, "low": most, "high": least}
    found |= {name: min(1.0, max(0.0, 1 - false / alarms)) for name, false in ends.items()}
    told = f"about {found['estimate']:.0%} of {alarms:,} alarms are true, "
    told += f"between {found['low']:.0%} and {found['high']:.0%}, as {rows:,} normal rows raise "
    told += f"{least:,.0f} to {most:,.0f} by chance, by what {n:,} calibration rows tell"
    if drifted:
        told += ": not to be trusted, as the batch has drifted, which raises alarms of its own"
    return {**found, "trusted": not drifted, "says": told}
