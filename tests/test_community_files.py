"""What a visitor of the repository meets first: its top level, the files of the project, and the forms for issues."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin

ROOT = Path(__file__).parent.parent
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
EXPECTED = {
    *("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md"),
    *("airflow_provider_crm", "constraints.txt", "docs", "example_dags", "pyproject.toml", "tests"),
}
PROSE = sorted(path for path in EXPECTED if path.endswith(".md"))
PARTS = {
    "checkboxes": {"label", "description", "options"},
    "dropdown": {"label", "description", "multiple", "options", "default"},
    "input": {"label", "description", "placeholder", "value"},
    "markdown": {"value"},
    "textarea": {"label", "description", "placeholder", "value", "render"},
}
"""The kinds of parts that a form may have, with the attributes that GitHub knows."""

needs_repository = pytest.mark.skipif(not (ROOT / ".github").is_dir(), reason="an sdist has no forms")


@pytest.mark.skipif(not (ROOT / ".git").exists() or not shutil.which("git"), reason="no working copy of git")
def test_the_top_level_has_what_a_visitor_expects():
    """On top are the package, its manual, tests and examples, and the files of the project, and nothing else."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    top = {line.partition("/")[0] for line in listed.splitlines()}
    assert {name for name in top if not name.startswith(".")} == EXPECTED
    assert {name for name in top if name.startswith(".")} == {
        *(".airflow-registry.yaml", ".ci", ".github", ".gitignore", ".pre-commit-config.yaml")
    }


@cache
def parsed(path):
    """The tokens of a file of Markdown, with anchors of headings."""
    return MarkdownIt("commonmark").use(anchors_plugin, max_level=6).parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PROSE)
def test_links_of_the_project_s_files_lead_somewhere(name):
    """Each relative link of a file on the top level leads to a file or folder, and its anchor to a heading."""
    dead = []
    for token in parsed(ROOT / name):
        for child in token.children or ():
            target = str(child.attrGet("href") or child.attrGet("src") or "")
            if not target or re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = ROOT / path if path else ROOT / name
            anchors = {one.attrGet("id") for one in parsed(file)} if anchor and file.is_file() else {anchor}
            if not file.exists() or anchor not in anchors:
                dead.append(target)
    assert dead == []


@pytest.mark.parametrize("name", ["SECURITY.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md"])
def test_no_address_is_made_up(name):
    """Reports go to the repository's own private form: no mail address is named."""
    assert re.findall(r"[\w.+-]+@[\w-]+\.\w+", (ROOT / name).read_text(encoding="utf-8")) == []


def forms():
    """The forms for issues."""
    return sorted(path for path in FORMS.glob("*.yml") if path.name != "config.yml")


@needs_repository
def test_there_is_a_form_for_each_kind_of_issue():
    """Bugs, the behaviour of a CRM and wishes have a form each, and there is no blank issue beside them."""
    assert [path.stem for path in forms()] == ["bug", "feature", "vendor"]
    assert yaml.safe_load((FORMS / "config.yml").read_text(encoding="utf-8")) == {"blank_issues_enabled": False}
    assert (ROOT / ".github" / "pull_request_template.md").is_file()


@needs_repository
@pytest.mark.parametrize("path", forms(), ids=lambda path: path.stem)
def test_forms_have_the_keys_that_github_wants(path):
    """A form has name, description and body; each part is of a known kind and has its attributes; ids are unique."""
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= form.keys() <= {"name", "description", "body", "labels", "title"}
    assert all(isinstance(form[key], str) and form[key] for key in ("name", "description"))
    asked = [part for part in form["body"] if part["type"] != "markdown"]
    assert asked
    for part in form["body"]:
        assert part.keys() <= {"type", "id", "attributes", "validations"}
        assert part["attributes"].keys() <= PARTS[part["type"]]
        assert part.get("validations", {}).keys() <= {"required"}
    ids = [part["id"] for part in asked]
    labels = [part["attributes"]["label"] for part in asked]
    assert len(set(ids)) == len(ids)
    assert len(set(labels)) == len(labels)
    assert all(re.fullmatch(r"[\w-]+", one) for one in ids)


@needs_repository
@pytest.mark.parametrize("path", forms(), ids=lambda path: path.stem)
def test_choices_of_forms_are_texts_and_differ(path):
    """Each choice is a text of its own: YAML makes no truth value or number of it, which GitHub would refuse."""
    for part in yaml.safe_load(path.read_text(encoding="utf-8"))["body"]:
        options = part["attributes"].get("options", [])
        if part["type"] == "checkboxes":
            assert all(option.keys() <= {"label", "required"} for option in options)
            options = [option["label"] for option in options]
        assert all(isinstance(option, str) and option for option in options)
        assert len(set(options)) == len(options)
        assert "None" not in options  # a word that GitHub keeps for itself
