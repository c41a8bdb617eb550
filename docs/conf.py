"""Sphinx: `sphinx-build -W -b html docs docs/_build/html`."""

import sys
from pathlib import Path

_here = Path(__file__).parent
# The checkout itself is documented, installed or not.
sys.path[:0] = [str(_here / "_ext"), str(_here.parent), str(_here.parent / "backends")]

from multiloss.version import __version__  # noqa: E402  (found through the line above)

project = "multiloss"
author = "the multiloss developers"
project_copyright = "the multiloss developers"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_design",
    "sphinx_copybutton",
    "mathml",
    "losses",
    "rosetta",
    "api",
    "links",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "loss/kept"]
nitpicky = False

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

default_role = "code"  # `x` in a docstring is code
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signature has the types; Args says what they mean
napoleon_use_rtype = False
napoleon_preprocess_types = False

html_theme = "furo"
html_title = "multiloss"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["multiloss.css"]
html_js_files = ["gallery.js"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "  # what is copied can be run: without prompts, and without their output
copybutton_prompt_is_regexp = True
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
