"""The first lines of a text file, by which its format is found."""

import codecs
import io
from typing import NamedTuple

from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.tables.drawings import Drawing, find_drawing, undrawn
from anomdiff.jobs.tables.encodings import MIXED_ERRORS, find_encoding
from anomdiff.jobs.tables.files import damaged, open_bytes, require_text
from anomdiff.jobs.tables.lines import unescaped, unwrapped
from anomdiff.jobs.tables.options import FileOptions
from anomdiff.jobs.tables.quotes import are_lines_quoted, are_quotes_escaped

__all__ = ["MAX_SAMPLE_LINES", "Sample", "find_sample"]

SAMPLE_BYTES = 100_000
MAX_SAMPLE_BYTES = 64_000_000  # of a file with very long lines
MIN_SAMPLE_LINES = 20
MAX_SAMPLE_LINES = 500


class Sample(NamedTuple):
    """First lines of a file, without the last if it was cut, and what was taken from them."""

    lines: list[str]
    encoding: str
    errors: str
    whole: bool
    quoted_lines: bool = False
    escaped: bool = False
    drawing: Drawing | None = None


def find_sample(path: FilePath, options: FileOptions) -> Sample:
    """Read the first lines of a file, without what stands around cells or lines.

    Raises
    ------
    ValueError
        If it is no text, or not in the encoding that was set.
    """
    content, whole = _first_bytes(path)
    require_text(content, path)
    encoding = options.encoding or find_encoding(content)
    errors = "strict" if options.encoding else "replace"
    if encoding.startswith("utf-8") and not options.encoding:
        errors = MIXED_ERRORS
    try:
        decoder = codecs.getincrementaldecoder(encoding)
    except LookupError:
        raise ValueError(f"need a known `encoding`, such as cp1252; got {encoding!r}.") from None
    try:
        text = decoder(errors).decode(content, final=whole)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not {encoding} text: {error}; set `encoding`.") from None
    if "\0" in text:
        raise ValueError(f"need a text file; {path} is none, or set its `encoding`.")
    lines = list(io.StringIO(text, newline=""))
    complete = lines if whole or len(lines) < 2 else lines[:-1]
    first = complete[:MAX_SAMPLE_LINES]
    sample = Sample(complete, encoding, errors, whole)
    if are_lines_quoted(first):
        return sample._replace(lines=list(unwrapped(complete)), quoted_lines=True)
    if drawing := find_drawing(first):
        return sample._replace(lines=list(undrawn(complete, drawing)), drawing=drawing)
    if are_quotes_escaped(first):
        return sample._replace(lines=list(unescaped(complete)), escaped=True)
    return sample


def _first_bytes(path: FilePath) -> tuple[bytes, bool]:
    """Begin of a file with some whole lines, and whether that is all."""
    content = b""
    size = SAMPLE_BYTES
    with damaged(path), open_bytes(path) as handle:
        while True:
            more = handle.read(size)
            content += more
            whole = len(more) < size
            if whole or content.count(b"\n") > MIN_SAMPLE_LINES or len(content) > MAX_SAMPLE_BYTES:
                break
    return content, whole
