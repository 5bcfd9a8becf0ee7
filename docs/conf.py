"""Settings of the manual's build: `python -m sphinx -W -n --keep-going docs build/docs`.

Every warning is an error there, and so is a link that leads nowhere: to a page, to a heading, or to a file of the
repository. The pages load nothing from other hosts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from posixpath import join, normpath

from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin
from sphinx.application import Sphinx  # noqa: TC002 (only the build itself imports this file)
from sphinx.util import logging

sys.path.insert(0, str(Path(__file__).parent))

from addresses import ROOT, links_out_of, public_address, without_dead_links

from airflow_provider_crm import __version__

ADDRESS = public_address()
FOLDER = "docs"

project = "airflow-provider-crm"
author = "airflow-provider-crm contributors"
copyright = author  # noqa: A001 (Sphinx's name)
version = release = __version__
extensions = ["myst_parser"]
nitpicky = True
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
html_theme = "furo"
html_favicon = "favicon.svg"
html_title = f"airflow-provider-crm {version}"
html_copy_source = False
html_theme_options = {
    f"source_{act}_link": f"{ADDRESS}/{path}/HEAD/{FOLDER}/{{filename}}"
    for act, path in (("view", "blob"), ("edit", "edit"))
    if ADDRESS
}


def _read_page(_app: Sphinx, page: str, source: list[str]) -> None:
    _replace_links(page, source, FOLDER)


def _read_included(_app: Sphinx, path: Path, page: str, source: list[str]) -> None:
    _replace_links(page, source, normpath(join(FOLDER, path.parent.as_posix())))


def _replace_links(page: str, source: list[str], folder: str) -> None:
    """Check the links of a text to files outside the manual, and lead them to the public address."""
    for _, path, anchor in links_out_of(FOLDER, source[0], folder):
        if not (ROOT / path).exists():
            logging.getLogger(__name__).warning("the repository has no %s", path, location=page)
        elif anchor and path.endswith(".md") and anchor not in _anchors(ROOT / path):
            logging.getLogger(__name__).warning("%s has no heading #%s", path, anchor, location=page)
    source[0] = without_dead_links(FOLDER, source[0], folder, ADDRESS)


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a file's headings, by the rule of GitHub's that MyST follows, too."""
    tokens = MarkdownIt("commonmark").use(anchors_plugin, max_level=6).parse(page.read_text(encoding="utf-8"))
    return {str(token.attrGet("id")) for token in tokens if token.type == "heading_open"}


def setup(app: Sphinx) -> None:
    """Connect the check of links to the reading of pages."""
    app.connect("source-read", _read_page)
    app.connect("include-read", _read_included)
