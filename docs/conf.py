"""Configuration of the manual."""

import inspect
import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).parents[1]))

import neurogen


project = "neurogen"
author = "neurogen contributors"
copyright = "2026, neurogen contributors"
release = version = neurogen.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
default_role = "code"  # `Name` in a docstring

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Members", "params_style"), "Timing", "Reset and power-on"]

html_theme = "furo"
html_title = f"neurogen {release}"
html_static_path: list[str] = []


def _show_parameters(app, what, name, obj, options, signature, returns):
    """Show the parameters of a component; Amaranth hides them behind its own."""
    if what == "class" and "src_loc_at" in (signature or ""):
        parameters = list(inspect.signature(obj.__init__).parameters.values())[1:]
        signature = str(inspect.Signature(parameters))
    return signature, returns


def setup(app):
    """Register the hook."""
    app.connect("autodoc-process-signature", _show_parameters)
