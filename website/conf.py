"""Sphinx's configuration of the documentation site, which ``website.build`` uses."""

from minglibc import __version__

project = "minglibc"
release = version = __version__
root_doc = "index"
extensions = ["myst_parser"]
myst_heading_anchors = 4
# Examples with "…" and partial files are no valid TOML or JSON.
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "furo"
html_title = f"minglibc {__version__}"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["minglibc.css"]
