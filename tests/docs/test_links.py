"""Links of the pages lead to files, and to headings in them."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, anchors_of, links_of, text_of

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_links_lead_somewhere(page):
    """A relative link names a file or folder of the repository, and its anchor a heading of that file."""
    dead = []
    for target in links_of(page):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or not file.is_relative_to(ROOT) or (anchor and anchor not in anchors_of(file)):
            dead.append(target)
    assert dead == []


@each_page
def test_addresses_are_encrypted(page):
    """A link to another host is https, but for this machine."""
    plain = [target for target in links_of(page) if target.startswith("http://")]
    assert [target for target in plain if not target.startswith(("http://localhost", "http://127.0.0.1"))] == []


def test_every_page_is_in_the_table_of_contents():
    """`index.md` names each page once."""
    listed = [line for line in text_of("index.md").splitlines() if (DOCS / f"{line}.md").is_file()]
    assert sorted(listed) == sorted(page.stem for page in DOCS.glob("*.md") if page.stem != "index")


@each_page
def test_paths_that_are_named_exist(page):
    """No page names a test, a module or a script that has moved away."""
    if page.name == "write-a-vendor.md":
        return  # it names files of another distribution
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w./-])(?:tests|airflow_provider_crm|example_dags|\.ci)/[\w./-]*\w", text)
    assert [path for path in named if not (ROOT / path).exists()] == []
