"""The sdist and the wheel, built from this checkout: their content, their metadata, and what checkers say of them."""

from __future__ import annotations

import datetime as dt
import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from readme_renderer import markdown

from airflow_provider_crm import __version__
from docs.addresses import file_address, long_description, project_urls, public_address
from tests.test_docs_build import Page

ROOT = Path(__file__).parent.parent
ADDRESS = "https://code.example/owner/name"
TOP_LEVEL = {
    *("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "PKG-INFO", "README.md", "SECURITY.md"),
    *("airflow_provider_crm", "constraints.txt", "docs", "example_dags", "pyproject.toml", "tests"),
    *(".airflow-registry.yaml", ".ci", ".github", ".gitignore", ".pre-commit-config.yaml"),
}
"""What an sdist has on top."""


def run(*command, folder=ROOT):
    """Run a module of Python in a folder, and return what it printed; it succeeds."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the sdist, and of the wheel that is built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run("build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return folder


@pytest.fixture(scope="module")
def sdist(built, tmp_path_factory):
    """The sdist, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked


@pytest.fixture(scope="module")
def wheel(built):
    """The wheel."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@contextmanager
def with_address(folder):
    """Give the repository in a folder a public address."""
    settings = folder / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(re.sub(r'(?m)^public-address = "[^"]*"', f'public-address = "{ADDRESS}"', text))
    try:
        yield
    finally:
        settings.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def addressed(sdist, tmp_path_factory):
    """The metadata of a wheel that is built from the sdist with a public address in its settings."""
    folder = tmp_path_factory.mktemp("addressed")
    with with_address(sdist):
        run("build", "--no-isolation", "--wheel", "--outdir", str(folder), str(sdist))
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return metadata_of(archive)


def metadata_of(archive):
    """The metadata of a wheel."""
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(archive.read(name))


def description_of(metadata):
    """The long description, as a package index shows it."""
    assert metadata["Description-Content-Type"] == "text/markdown"
    return Page(markdown.render(metadata.get_payload(decode=True).decode("utf-8")))


def test_the_wheel_holds_the_package_and_the_examples_only(wheel):
    """Every file of the package and every example DAG is in the wheel; manual, tests and repository files are not."""
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "airflow_provider_crm").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files = (ROOT / "example_dags").rglob("*.py")
    examples = {f"airflow_provider_crm/{path.relative_to(ROOT)}" for path in files}
    assert names == package | examples
    assert "airflow_provider_crm/py.typed" in names


def test_the_wheel_says_what_it_needs_and_offers(wheel):
    """Metadata: Airflow 3.2, Python up to 3.14, pyarrow in an extra only, the license, and all entry points."""
    info = next(name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
    metadata = metadata_of(wheel)
    assert {"demo", "docs", "parquet", "test"} <= set(metadata.get_all("Provides-Extra"))
    assert "apache-airflow>=3.2" in metadata.get_all("Requires-Dist")
    arrow = {one for one in metadata.get_all("Requires-Dist") if "pyarrow" in one}
    assert arrow == {f"pyarrow>=18; extra == '{extra}'" for extra in ("demo", "parquet", "test")}  # of extras only
    assert metadata["Requires-Python"] == "<3.15,>=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    declared = wheel.read(f"{info}/entry_points.txt").decode()
    assert "provider_info = airflow_provider_crm.provider_info:get_provider_info" in declared
    assert "airflow_provider_crm = airflow_provider_crm.testing.pytest_plugin" in declared


def test_the_license_is_the_plain_apache_license(wheel):
    """The text ends with the license's own appendix: nothing of another project follows it."""
    (name,) = (name for name in wheel.namelist() if name.endswith("licenses/LICENSE"))
    text = wheel.read(name).decode()
    assert "Version 2.0, January 2004" in text
    assert text.rstrip().endswith("limitations under the License.")
    assert "SUBCOMPONENTS" not in text


def test_checkers_of_distributions_find_nothing(built):
    """`twine check --strict` and `check-wheel-contents` pass."""
    files = [str(path) for path in built.iterdir()]
    assert run("twine", "check", "--strict", *files).count("PASSED") == len(files) == 2
    (path,) = (path for path in files if path.endswith(".whl"))
    assert run("check_wheel_contents", path).strip() == f"{path}: OK"


def test_the_sdist_holds_what_it_takes_to_build_test_and_document(sdist):
    """Sources, manual, tests, settings and the files of the project are in it, and no leftovers of a working copy."""
    assert {path.name for path in sdist.iterdir()} == TOP_LEVEL
    hidden = {path.name for path in sdist.rglob(".*")} - TOP_LEVEL
    assert hidden == {path.name for part in ("docs", "tests") for path in (ROOT / part).rglob(".*") if path.is_file()}
    assert not [path for path in sdist.rglob("*") if path.suffix in {".pyc", ".db", ".log"}]


def test_the_manual_is_built_from_the_sdist_with_its_links(sdist, tmp_path):
    """With an address in the settings, the strict build passes, and links to files of the repository lead there."""
    with with_address(sdist):
        run("sphinx", "-q", "-W", "-n", "--keep-going", str(sdist / "docs"), str(tmp_path), folder=sdist)
    pages = [Page(path.read_text(encoding="utf-8")) for path in tmp_path.rglob("*.html")]
    links = {link for page in pages for link in page.links if link.startswith(ADDRESS)}
    assert f"{ADDRESS}/blob/HEAD/tests/SEEDS.md" in links
    paths = {re.sub(r"^/owner/name/?(?:(?:blob|tree|edit)/HEAD/)?", "", urlsplit(link).path) for link in links}
    assert [path for path in paths if not (ROOT / path.removesuffix("?plain=1")).exists()] == []


def test_a_wheel_from_the_checkout_is_that_from_the_sdist(wheel, tmp_path):
    """Both ways to a wheel give the same files with the same content."""
    run("build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), str(ROOT))
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as direct:
        assert {name: direct.read(name) for name in direct.namelist()} == {
            name: wheel.read(name) for name in wheel.namelist()
        }


def test_without_a_public_address_the_metadata_leads_nowhere(wheel):
    """While the repository has no address there are no project URLs, and no link or picture needs one."""
    if public_address():
        pytest.skip("the repository has an address")
    metadata = metadata_of(wheel)
    assert [name for name in ("Project-URL", "Home-page", "Download-URL", "Author-email") if name in metadata] == []
    page = description_of(metadata)
    assert not_found(page) == []
    assert page.loaded == []


def test_with_a_public_address_the_metadata_leads_to_the_repository(addressed):
    """With an address there are four project URLs, and all links and pictures of the README have whole addresses."""
    urls = dict(one.split(", ") for one in addressed.get_all("Project-URL"))
    assert urls == {
        "Documentation": f"{ADDRESS}/tree/HEAD/docs",
        "Source": ADDRESS,
        "Changelog": f"{ADDRESS}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{ADDRESS}/issues",
    }
    page = description_of(addressed)
    assert not_found(page) == []
    ours = [link for link in page.links + page.loaded if link.startswith(ADDRESS)]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert bool(ours) == bool(re.search(r"\]\((?!https?:|#)", readme))
    paths = [re.sub(r"^/(?:blob|tree|raw)/HEAD/", "", urlsplit(link).path.removeprefix("/owner/name")) for link in ours]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def not_found(page):
    """The links and pictures of a page that are neither whole addresses nor anchors of it."""
    anchors = {f"#{anchor}" for anchor in page.anchors}
    return [one for one in page.links + page.loaded if not one.startswith("https://") and one not in anchors]


README = """\
# Title

[A page](docs/hubspot.md#the-key), [a part](#words), [a site](https://example.com/a_(b)), ![A picture](tests/x.png)
[![badge](tests/x.png)](docs/hubspot.md) [`code[0]`](.ci/run) `[no link](x.md)`

| ![One](tests/1.png) | ![Two](tests/2.png) |
|---|---|
| ![Three](tests/3.png) | words |

| before | after |
|---|---|
| ![Four](tests/4.png) | ![Five](tests/5.png) |

```python
print("[no link](x.md)")
```
"""


def test_links_and_pictures_have_whole_addresses():
    """Links to files lead to their pages, pictures to their content; code and other sites stay as they are."""
    files, pictures = f"{ADDRESS}/blob/HEAD", f"{ADDRESS}/raw/HEAD"
    expected = README.replace("](docs/", f"]({files}/docs/").replace("](.ci/", f"]({files}/.ci/")
    assert long_description(README, ADDRESS) == expected.replace("](tests/", f"]({pictures}/tests/")


def test_links_are_words_and_pictures_are_left_out_while_there_is_no_address():
    """The text of a link stays, a picture goes, and so does a row of pictures, or a table of them."""
    assert (
        long_description(README, "")
        == """\
# Title

A page, [a part](#words), [a site](https://example.com/a_(b)),\x20
 `code[0]` `[no link](x.md)`

|  | words |

```python
print("[no link](x.md)")
```
"""
    )


@pytest.mark.parametrize(
    "address", ["http://code.example/a/b", "https://code.example", "https://code.example/a/b/", "x"]
)
def test_an_address_that_is_none_is_refused(tmp_path, address):
    """An address that links cannot be made of stops the build, and the error says what to write."""
    (tmp_path / "pyproject.toml").write_text(f'[tool.crm]\npublic-address = "{address}"\n', encoding="utf-8")
    with pytest.raises(ValueError, match="write https://host/owner/name"):
        public_address(tmp_path)


def test_there_is_one_setting_for_the_address():
    """Without it there are no URLs; with it, each leads below it."""
    assert project_urls("") == {}
    assert all(url.startswith(ADDRESS) for url in project_urls(ADDRESS).values())
    assert file_address(ADDRESS, "docs/hubspot.md") == f"{ADDRESS}/blob/HEAD/docs/hubspot.md"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"readme", "urls"} <= set(project["dynamic"])


@pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="an sdist has no scripts")
def test_classifiers_are_true_of_what_ci_runs(wheel):
    """Each Python that `.ci/matrix` tries is named, and no other; a license classifier would repeat the expression."""
    loader = SourceFileLoader("matrix", str(ROOT / ".ci" / "matrix"))
    matrix = module_from_spec(spec_from_loader("matrix", loader))
    sys.modules["matrix"] = matrix  # its dataclasses look their module up
    try:
        loader.exec_module(matrix)
    finally:
        del sys.modules["matrix"]
    classifiers = metadata_of(wheel).get_all("Classifier")
    named = {one.rpartition(" ")[2] for one in classifiers if re.search(r":: 3\.\d+$", one)}
    assert named == {one.python for one in matrix.ENVIRONMENTS}
    assert [one for one in classifiers if one.startswith("Operating System")] == ["Operating System :: POSIX :: Linux"]
    assert [one for one in classifiers if one.startswith("License")] == []


def test_the_summary_and_the_authors_are_plain(wheel):
    """The authors are the contributors; the summary is one sentence of at most 120 characters."""
    metadata = metadata_of(wheel)
    assert metadata["Author"] == "airflow-provider-crm contributors"
    assert re.fullmatch(r"[A-Z][^.]{1,118}\.", metadata["Summary"])
    assert not re.search(r"\btells?\b", metadata["Summary"])


def test_the_version_is_that_of_the_newest_dated_section():
    """The changelog begins with what is unreleased; the first section below it has the package's version and a date."""
    headings = re.findall(r"(?m)^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert headings[0] == "[Unreleased]"
    sections = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", heading) for heading in headings[1:]]
    assert all(sections)
    dates = [dt.date.fromisoformat(section[2]) for section in sections]
    assert dates == sorted(dates, reverse=True)
    assert sections[0][1] == __version__
