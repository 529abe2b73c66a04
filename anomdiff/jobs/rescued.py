"""A detector that was fitted before its job was stopped: saved, and taken up by another run."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sklearn.exceptions import NotFittedError

from anomdiff.jobs.exit_codes import SettingsError
from anomdiff.storage import load, save

__all__ = ["rescue", "rescued"]

logger = logging.getLogger(__name__)

DIGESTS = "digests.json"  # of rows and settings, beside the detector


def rescue(detector: Any, name: str, digests: Mapping[str, str], error: BaseException) -> None:
    """Save the detector, if it was fitted before the store failed or the job was stopped.

    Parameters
    ----------
    detector : TabularDetector, SegmentedDetector or TimeSeriesDetector
        Fitted or not.
    name : str
        Registered model, which the folder is named after.
    digests : mapping
        Of its rows and settings.
    error : BaseException
        What has ended the job.

    Raises
    ------
    OSError
        If it was no signal: with the folder, and how to register what is there.
    """
    folder = Path(f"unlogged-{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    try:
        save(detector, folder)
    except NotFittedError:
        return
    (folder / DIGESTS).write_text(json.dumps(dict(digests)))
    how = f"run the same command with --fitted {folder} to register it without another fit"
    if not isinstance(error, Exception):  # a signal: the job ends with its number
        logger.warning("the detector is fitted and saved in %s: %s.", folder, how)
        return
    sentence = str(error).strip().split("\n")[0].removesuffix(".")
    raise OSError(
        f"the detector is fitted and saved in {folder}, but MLflow could not take it: {sentence}; "
        f"{how}."
    ) from error


def rescued(folder: Path, digests: Mapping[str, str]) -> Any:
    """Load the detector that was saved, if it is one of these rows and settings.

    Raises
    ------
    SettingsError
        If there is none in the folder, or it is of other rows or settings.
    """
    try:
        known = json.loads((folder / DIGESTS).read_text())
    except (OSError, ValueError):
        raise SettingsError(
            f"need a folder that a stopped training has left as `fitted`; got {folder} without "
            f"{DIGESTS}: set the folder `unlogged-...` that it has named."
        ) from None
    if others := [key.replace("_digest", "") for key in digests if known.get(key) != digests[key]]:
        raise SettingsError(
            f"need the same rows and settings as the detector in {folder} was fitted with; got "
            f"other {' and '.join(others)}: leave `fitted` out to fit it again."
        )
    return load(folder)
