"""The manual's build: strict, without a dead link, and without anything from another host."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

from docs.addresses import ROOT, links_out_of, without_dead_links
from tests.system.chromium import chromium

DOCS = ROOT / "docs"
ADDRESS = "https://code.example/owner/name"
LOADED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "img": ("src", "srcset"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
}
"""What a browser loads by itself: attributes by tag."""
NAMESPACES = {"http://www.w3.org/2000/svg"}


class Page(HTMLParser):
    """What a page of HTML links to, what it loads, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Collect the addresses of a tag."""
        values = dict(attrs)
        self.anchors.add(values.get("id"))
        self.links += [values["href"]] if tag == "a" and values.get("href") else []
        self.loaded += [values[name] for name in LOADED.get(tag, ()) if values.get(name)]
        self.loaded += re.findall(r"url\(([^)]*)\)", values.get("style") or "")


def build(source, output):
    """Run the build of the manual, as `.ci/run` does, and return what it printed and its exit status."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", "--keep-going", "-c", str(DOCS)]
    done = subprocess.run(
        [*command, str(source), str(output)], capture_output=True, text=True, timeout=600, check=False, cwd=ROOT
    )
    return done.stderr, done.returncode


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built pages; the build has no warning."""
    folder = tmp_path_factory.mktemp("site")
    assert build(DOCS, folder) == ("", 0)
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """The built pages, by their paths in the site."""
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_each_page_of_the_manual_is_built(site, pages):
    """Every Markdown file of docs/ is a page."""
    written = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert written <= {path.relative_to(site) for path in pages}


def test_no_page_loads_anything_from_another_host(pages):
    """Scripts, styles, fonts and pictures are files of the site, so that no third party sees who reads it."""
    foreign = {address for page in pages.values() for address in page.loaded if urlsplit(address).netloc}
    assert foreign == set()
    assert all(page.loaded for page in pages.values())


def test_no_script_or_style_names_another_host(site):
    """No script and no style of the site has an address to load from; comments and namespaces are none."""
    named = set()
    for path in (*site.rglob("*.js"), *site.rglob("*.css")):
        code = re.sub(r"/\*.*?\*/|^\s*//[^\n]*$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        named |= set(re.findall(r"(?:https?:)?//[\w-]+\.[\w./-]+", code))
        named |= {url for url in re.findall(r"@import[^;]+;", code) if "//" in url}
    assert named - NAMESPACES == set()


def test_no_link_of_a_page_is_dead(site, pages):
    """Each link within the site leads to a file of it, and each anchor to an element."""
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else None
            if not target.is_file() or (parts.fragment and anchors is not None and parts.fragment not in anchors):
                dead.append((path.relative_to(site).as_posix(), link))
    assert dead == []


def test_the_build_refuses_dead_links(tmp_path):
    """A page, a heading, a file of the repository or a heading of it that is not there stops the build by its name."""
    dead = ("other.md", "#no-such-heading", "../tests/no_such_file.py", "../CONTRIBUTING.md#no-such-heading")
    links = "\n".join(f"- [words]({target})" for target in dead)
    (tmp_path / "index.md").write_text(f"# Title\n\n{links}\n", encoding="utf-8")
    printed, status = build(tmp_path, tmp_path / "site")
    assert status != 0
    assert len(printed.splitlines()) == len(dead), printed
    for name in ("other.md", "no-such-heading", "tests/no_such_file.py", "CONTRIBUTING.md has no heading"):
        assert name in printed


PAGE = """\
[A file](../tests/conftest.py), [a folder](../example_dags), [a heading](../CONTRIBUTING.md#run-the-tests),
[`code`](../.ci/run), [another page](rate-limits.md), [here](#words), [elsewhere](https://example.com/x).
`[no link](../tests)`
```md
[no link](../tests)
```
"""


def test_links_to_files_of_the_repository_lead_to_its_public_address():
    """With an address they lead there; links within the manual, to other sites, and code stay as they are."""
    files = f"{ADDRESS}/blob/HEAD"
    start = f"[A file]({files}/tests/conftest.py), [a folder]({ADDRESS}/tree/HEAD/example_dags), "
    others = f"[a heading]({files}/CONTRIBUTING.md#run-the-tests),\n[`code`]({files}/.ci/run), "
    rest = PAGE[PAGE.index("[another page]") :]
    assert without_dead_links("docs", PAGE, "docs", ADDRESS) == start + others + rest


def test_links_to_files_of_the_repository_are_words_while_it_has_no_address():
    """Without an address only the text of such a link is left."""
    rest = PAGE[PAGE.index("[another page]") :]
    assert without_dead_links("docs", PAGE, "docs", "") == f"A file, a folder, a heading,\n`code`, {rest}"
    assert [(path, anchor) for _, path, anchor in links_out_of("docs", PAGE, "docs")] == [
        ("tests/conftest.py", ""),
        ("example_dags", ""),
        ("CONTRIBUTING.md", "run-the-tests"),
        (".ci/run", ""),
    ]


def test_links_of_an_included_file_are_relative_to_it():
    """A page that includes a file from above the manual keeps its links into the manual, and leads on the others."""
    text = "[A page](docs/hubspot.md#the-key), [a file](tests/SEEDS.md)"
    kept = "[A page](docs/hubspot.md#the-key)"
    assert without_dead_links("docs", text, ".", "") == f"{kept}, a file"
    assert without_dead_links("docs", text, ".", ADDRESS) == f"{kept}, [a file]({ADDRESS}/blob/HEAD/tests/SEEDS.md)"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and logs nothing."""

    def log_message(self, *_):
        """Leave the line out."""


@contextmanager
def served(folder):
    """Serve a folder on this machine, and give its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.long
def test_a_browser_loads_files_of_the_site_only(site, tmp_path):
    """Chromium opens each page, and searches: all that it loads is of the site, and the console has no error."""
    loaded = set()
    with served(site) as address, chromium(tmp_path, tmp_path / "pictures") as screen:
        for path in sorted(site.rglob("*.html")):
            screen.open(address + path.relative_to(site).as_posix() + "?q=limit")
            if path.name == "search.html":
                screen.says("Search finished")
            entries = "return performance.getEntriesByType('resource').map(entry => entry.name)"
            loaded |= set(screen.driver.execute_script(entries))
        assert screen.errors() == []
    assert loaded
    assert [one for one in loaded if not one.startswith(address)] == []
