"""Globs such as `day=*/part-*.parquet`, for stores that have none themselves."""

import re

__all__ = ["WILDCARDS", "pattern_of"]

WILDCARDS = re.compile(r"[*?\[]")
TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)


def pattern_of(glob: str) -> re.Pattern[str]:
    """Regular expression of the paths that a glob means, as `glob.glob` reads it.

    `*` and `?` do not cross folders, `**/` is any number of folders, and `[` begins a choice of
    characters.

    Examples
    --------
    >>> bool(pattern_of("in/**/*.csv").fullmatch("in/a.csv"))
    True
    >>> bool(pattern_of("in/*.csv").fullmatch("in/b/a.csv"))
    False
    """
    return re.compile("".join(_expression(token) for token in TOKENS.findall(glob)), re.DOTALL)


def _expression(token: str) -> str:
    fixed = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if token in fixed:
        return fixed[token]
    if len(token) > 2 and token.startswith("["):
        negated = token[1] == "!"
        inside = token[2 if negated else 1 : -1].replace("\\", r"\\").replace("^", r"\^")
        return f"[{'^/' if negated else ''}{inside}]"
    return re.escape(token)
