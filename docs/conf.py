"""The site's settings: `make docs` builds it, offline, and takes a warning for an error."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER / "extension"), str(FOLDER.parent)]

from lightning_dqn import __version__  # noqa: E402  # found by the path above

project = "lightning-dqn"
author = "the lightning-dqn authors"
release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "generated_pages",
]
exclude_patterns = ["extension", "atari100k/agents"]

myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures would be longer than what they explain
napoleon_use_ivar = True  # an attribute told in a docstring is no second object of the index
copybutton_exclude = ".linenos, .gp"

html_theme = "furo"
html_title = f"lightning-dqn {release}"
html_static_path = ["static"]
html_css_files = ["tables.css"]
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
