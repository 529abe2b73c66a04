"""The lines of a text file on their way to the reader, without those that are no rows."""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = [
    "COLUMN_MARK",
    "Lines",
    "chunks_of",
    "unescaped",
    "unwrapped",
    "with_separator",
    "without_end",
    "without_lines",
]

CHUNK = 262_144  # characters
ESCAPE = re.compile(r'\\(["\\])')
COLUMN_MARK = "\x1f"  # stands for a separator of several characters


class Lines(io.TextIOBase):
    """A file made of pieces of text."""

    def __init__(self, pieces: Iterable[str]):
        self._pieces = iter(pieces)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readline(self, size: int = -1) -> str:  # type: ignore[override]
        """Read the next piece."""
        return next(self._pieces, "")

    def read(self, size: int | None = -1) -> str:
        """Read about `size` characters, in whole pieces."""
        found, length = [], 0
        for piece in self._pieces:
            found.append(piece)
            length += len(piece)
            if size is not None and 0 <= size <= length:
                break
        return "".join(found)


def chunks_of(lines: io.TextIOBase) -> Iterator[str]:
    """Yield a text in pieces of whole lines."""
    while text := lines.read(CHUNK):
        yield text + lines.readline()


def without_lines(pieces: Iterable[str], left_out: tuple[str, ...]) -> Iterator[str]:
    """Yield pieces of whole lines, blank ones in place of those that begin with some texts."""
    for piece in pieces:
        if any(text in piece for text in left_out):
            lines = io.StringIO(piece, newline="")
            piece = "".join("\n" if line.startswith(left_out) else line for line in lines)
        yield piece


def with_separator(pieces: Iterable[str], separator: str) -> Iterator[str]:
    """Yield pieces with one character in place of a separator of several."""
    return (piece.replace(separator, COLUMN_MARK) for piece in pieces)


def unwrapped(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines without the quotes around each whole line."""
    for line in lines:
        body = line.rstrip("\r\n")
        if len(body) > 1 and body[0] == body[-1] == '"':
            yield body[1:-1].replace('""', '"') + line[len(body) :]
        else:
            yield line


def unescaped(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines with doubled quotes in place of those behind a backslash."""
    for line in lines:
        yield ESCAPE.sub(_without_backslash, line) if "\\" in line else line


def _without_backslash(found: re.Match) -> str:
    return '""' if found[1] == '"' else found[1]


def without_end(
    pieces: Iterable[str], split: Callable[[str], tuple[str, Sequence[str]]], size: int
) -> Iterator[str]:
    """Yield a text without what `split` takes from its last `size` characters."""
    held = ""
    for piece in pieces:
        held += piece
        if len(held) > 2 * size:
            yield held[:-size]
            held = held[-size:]
    yield split(held)[0]
