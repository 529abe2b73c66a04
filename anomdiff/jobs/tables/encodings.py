"""The encoding of a text file, found from its first bytes."""

import codecs

from charset_normalizer import from_bytes

__all__ = ["MIXED_ERRORS", "find_encoding", "register_mixed_errors"]

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark begins the same
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WESTERN = "cp1252"
# What else spreadsheets and exports of the last decades are written in, not all that there is.
OTHERS = ("cp1251", "cp1253", "cp1255", "cp1256", "shift_jis", "euc_kr", "big5", "gb18030")
# Fewer bytes beyond ASCII do not tell one alphabet from another.
MIN_FOREIGN_BYTES = 40
MIXED_ERRORS = "anomdiff-western"


def find_encoding(sample: bytes) -> str:
    """Encoding of a text, from its first bytes.

    A byte order mark decides, then whether the bytes are UTF-8, which other encodings hardly ever
    are by chance. What is left is guessed by charset-normalizer, if there is enough of it; a few
    letters beyond ASCII are Western (cp1252, which holds latin-1), because a guess from them
    changes from file to file.
    """
    for mark, encoding in MARKS.items():
        if sample.startswith(mark):
            return encoding
    zeros = sample[0::2].count(0), sample[1::2].count(0)
    if max(zeros) > 0.3 * len(sample) / 2:  # the high bytes of a text without a mark
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return _guess(sample)
    return "utf-8"


def _guess(sample: bytes) -> str:
    if sum(byte > 127 for byte in sample) < MIN_FOREIGN_BYTES:
        return WESTERN
    found = from_bytes(sample[:20_000], cp_isolation=[*OTHERS, WESTERN]).best()
    return WESTERN if found is None else found.encoding


def register_mixed_errors() -> str:
    """Name of the error handler that reads single bytes that are not UTF-8 as Western letters.

    A file whose first letters beyond ASCII come late, or of which parts were written by two
    programs, is then read to its end.
    """
    codecs.register_error(MIXED_ERRORS, _as_western)
    return MIXED_ERRORS


def _as_western(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return bad.decode("cp1252", errors="replace"), error.end
