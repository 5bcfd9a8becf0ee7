"""Install distributions into a folder: Acme, and variants of it under other names."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

ACME = Path(__file__).parent / "acme"


def install(source, site):
    """Put a distribution into a folder as an installer would: its package, and its metadata from `pyproject.toml`."""
    shutil.copytree(source, site, ignore=shutil.ignore_patterns("__pycache__", "tests", "*.toml"), dirs_exist_ok=True)
    write_metadata(source, site)


def write_metadata(source, site):
    """Write the metadata of a distribution, without which its entry points are not found."""
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    groups = project["entry-points"].items()
    lines = [line for group, points in groups for line in (f"[{group}]", *(f"{a} = {b}" for a, b in points.items()))]
    (info / "entry_points.txt").write_text("\n".join((*lines, "")), encoding="utf-8")


def variant(folder, name, old, new):
    """Make a variant of Acme in a folder: another name throughout, and one thing in its vendor replaced.

    Args:
        folder: An empty folder.
        name: The name of the vendor, instead of `acme`.
        old: A text of `vendor.py`.
        new: What stands there instead.
    """
    for path in sorted(ACME.rglob("*")):
        if path.suffix not in (".py", ".toml") or "tests" in path.relative_to(ACME).parts:
            continue
        text = path.read_text(encoding="utf-8")
        if path.name == "vendor.py":
            assert old in text
            text = text.replace(old, new)
        target = folder / str(path.relative_to(ACME)).replace("acme", name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace("acme", name).replace("Acme", name.title()), encoding="utf-8")
    return folder
