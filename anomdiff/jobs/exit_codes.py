"""What the exit code of a job tells, and the errors that decide it."""

from enum import IntEnum

__all__ = [
    "MEANINGS",
    "ExitCode",
    "ModelError",
    "SettingsError",
    "SettingsMissing",
    "exit_code",
    "meanings",
]


class ExitCode(IntEnum):
    """Exit codes of all jobs; a number means the same in each."""

    DONE = 0
    UNEXPECTED = 1
    SETTINGS = 2
    DRIFT = 3
    NOT_PROMOTED = 4
    MODEL = 5
    DATA = 6
    SENSELESS = 7
    PARTLY = 8
    UNSENT = 9
    STORE = 75  # EX_TEMPFAIL of sysexits.h


MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.UNEXPECTED: "an unexpected error",
    ExitCode.SETTINGS: "wrong use or settings",
    ExitCode.DRIFT: "something has drifted",
    ExitCode.NOT_PROMOTED: "the champion stays",
    ExitCode.MODEL: "no model or no champion",
    ExitCode.DATA: "data that is not there or cannot be used",
    ExitCode.SENSELESS: "the files are written, but there are more alarms than make sense",
    ExitCode.PARTLY: "partly done: the files are written, some series failed",
    ExitCode.UNSENT: "the files are written, but the message could not be sent: run it again",
    ExitCode.STORE: "the store does not answer, or another run is at it: try again",
}


OF_ALL_JOBS = (
    ExitCode.DONE,
    ExitCode.UNEXPECTED,
    ExitCode.SETTINGS,
    ExitCode.MODEL,
    ExitCode.DATA,
    ExitCode.STORE,
)


class SettingsError(ValueError):
    """A setting is unknown, missing or wrong."""


class SettingsMissing(SettingsError, FileNotFoundError):
    """There is no settings file."""


class ModelError(ConnectionError):
    """The store has no such model, or it cannot be loaded."""


def exit_code(error: Exception) -> ExitCode:
    """Exit code of a job that has ended with an expected error."""
    from mlflow.exceptions import MlflowException  # takes seconds

    settings = SettingsError, FileExistsError, IsADirectoryError  # files that cannot be written
    if isinstance(error, settings):
        return ExitCode.SETTINGS
    unknown = getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST"
    if isinstance(error, ModelError) or (isinstance(error, MlflowException) and unknown):
        return ExitCode.MODEL
    if isinstance(error, MlflowException | ConnectionError):
        return ExitCode.STORE
    data = ValueError, FileNotFoundError, PermissionError
    return ExitCode.DATA if isinstance(error, data) else ExitCode.UNEXPECTED


def meanings(*codes: ExitCode) -> str:
    """One line on what the exit codes of a job tell, for its help."""
    shown = [each for each in ExitCode if each in codes or each in OF_ALL_JOBS]
    return "Exit codes: " + "; ".join(f"{code:d} {MEANINGS[code]}" for code in shown) + "."
