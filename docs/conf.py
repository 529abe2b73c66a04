"""Settings of the documentation: `make docs` builds it into `build/docs`."""

import anomdiff

project = "anomdiff"
author = "the anomdiff developers"
version = release = anomdiff.__version__

# Sphinx, because the docstrings are numpydoc with formulas, which it reads as they are.
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = f"anomdiff {version}"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say types in words
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_use_rtype = napoleon_use_param = False  # words, not references
napoleon_use_ivar = True
# Pages begin below headings of their own; words of docstrings, such as "shape", are no references.
suppress_warnings = ["myst.header", "ref.python"]
