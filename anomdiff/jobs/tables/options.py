"""What a user can say about a table in files; what is not said is found by looking."""

from dataclasses import dataclass

__all__ = ["FileOptions", "Name"]

Name = str | int


@dataclass(frozen=True)
class FileOptions:
    """How the text files of a table are written; None is found by looking at each file.

    Attributes
    ----------
    separator : str, optional
        One character or two, or a blank for any run of blanks and tabs.
    decimal : str, optional
        Decimal mark of the numbers, "." or ",".
    encoding : str, optional
        Name of a Python codec, such as "cp1252".
    skip_lines : int, optional
        Lines to leave out above the header, or above the first row without one.
    header : bool, optional
        Whether the first line names the columns. If not, they are 0, 1, 2, ...
    """

    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    skip_lines: int | None = None
    header: bool | None = None
