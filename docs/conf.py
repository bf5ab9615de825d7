"""How Sphinx builds this site: `make docs`."""

from importlib.metadata import version as _version

project = "curate"
author = "The curate authors"
copyright = "the curate authors, MIT licence"  # noqa: A001
version = release = _version("imaging-curate")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**/*.ipynb"]
html_theme = "furo"
html_title = f"curate {version}"
html_show_sphinx = False
myst_heading_anchors = 4
default_role = "code"  # docstrings mark names with single backticks
autodoc_member_order = "bysource"
napoleon_use_rtype = False
autodoc_preserve_defaults = True
