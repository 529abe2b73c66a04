"""What the exit code of a job tells, and the errors that decide it."""

from enum import IntEnum

__all__ = ["ExitCode", "ModelError", "SettingsError", "SettingsMissing", "exit_code", "meanings"]


class ExitCode(IntEnum):
    """Exit codes of all jobs; a number means the same in each."""

    DONE = 0
    UNEXPECTED = 1
    SETTINGS = 2
    DATA = 3
    MODEL = 4
    PARTLY = 5
    DRIFT = 6
    SENSELESS = 7


MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.UNEXPECTED: "an unexpected error",
    ExitCode.SETTINGS: "wrong use or settings",
    ExitCode.DATA: "data that is not there or cannot be used",
    ExitCode.MODEL: "no model or no champion, or the store does not answer",
    ExitCode.PARTLY: "partly done: the files are written, some series failed",
    ExitCode.DRIFT: "something has drifted",
    ExitCode.SENSELESS: "the files are written, but there are more alarms than make sense",
}


OF_ALL_JOBS = (
    ExitCode.DONE,
    ExitCode.UNEXPECTED,
    ExitCode.SETTINGS,
    ExitCode.DATA,
    ExitCode.MODEL,
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
    if isinstance(error, MlflowException | ConnectionError):
        return ExitCode.MODEL
    data = ValueError, FileNotFoundError, PermissionError
    return ExitCode.DATA if isinstance(error, data) else ExitCode.UNEXPECTED


def meanings(*codes: ExitCode) -> str:
    """One line on what the exit codes of a job tell, for its help."""
    shown = [each for each in ExitCode if each in codes or each in OF_ALL_JOBS]
    return "Exit codes: " + "; ".join(f"{code:d} {MEANINGS[code]}" for code in shown) + "."
