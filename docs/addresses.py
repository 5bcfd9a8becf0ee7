"""Let links to files of the repository lead somewhere, wherever the text with them is read.

`public-address` in `[tool.crm]` of pyproject.toml is the address of the repository. Links to its files lead there.
While it is empty, such a link is only its text, and a picture is left out, as there is no place to lead to.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from posixpath import join, normpath

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(
    r"(?P<code>^(?P<fence>```+|~~~+).*?^(?P=fence)[ ]*$|(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)|<!--.*?-->)"
    r"|(?P<picture>!)?\[(?P<text>(?:[^\[\]]|!?\[[^\[\]]*\](?:\([^()\s]*\))?)*)\]\((?P<target>[^()\s]+)\)",
    re.MULTILINE | re.DOTALL,
)
"""A link or picture of Markdown; or code or a comment, in which there is none."""
_EMPTY_TABLE = re.compile(r"^\|.*\|\n\|[ :|-]*-[ :|-]*\|\n(?:\n|\Z)", re.MULTILINE)
"""A table with a head and no rows, as is left of one that showed pictures."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def public_address(root: Path = ROOT) -> str:
    """Return the address of the repository without a slash at its end, or "" while it has none.

    Raises:
        ValueError: The setting is no https address.
    """
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    address: str = settings["tool"]["crm"]["public-address"]
    if address and not re.fullmatch(r"https://[\w.-]+(/[\w.~-]+)+", address):
        raise ValueError(f"public-address is {address!r}: write https://host/owner/name, without a slash at the end")
    return address


def project_urls(address: str) -> dict[str, str]:
    """Return the addresses that the metadata of the package shows; none while the repository has none."""
    if not address:
        return {}
    return {
        "Documentation": file_address(address, "docs"),
        "Source": address,
        "Changelog": file_address(address, "CHANGELOG.md"),
        "Issues": f"{address}/issues",
    }


def file_address(address: str, path: str) -> str:
    """Return the address of a file or folder of the repository; an anchor may follow the path."""
    return f"{address}/{'tree' if (ROOT / path).is_dir() else 'blob'}/HEAD/{path}"


def long_description(readme: str, address: str) -> str:
    """Return the README as it reads outside the repository: each link and picture has an address, or is left out."""

    def replacement(found: re.Match[str]) -> str:
        target, text = found["target"], found["text"]
        if found["code"] is not None:
            return found[0]
        if found["picture"]:
            if _SCHEME.match(target):
                return found[0]
            left_out = "\n" * found[0].count("\n")
            return f"![{text}]({address}/raw/HEAD/{normpath(target)})" if address else left_out
        text = LINK.sub(replacement, text)
        if not _SCHEME.match(target) and not target.startswith("#"):
            path, hash_, anchor = target.partition("#")
            target = file_address(address, normpath(path)) + hash_ + anchor if address else ""
        return f"[{text}]({target})" if target and text else text

    lines: list[str] = []
    left_out = False
    for before, line in zip(readme.split("\n"), LINK.sub(replacement, readme).split("\n"), strict=True):
        empty = before != line and not line.strip("| ")  # it had pictures only, such as a row of a table
        left_out = empty or (left_out and re.fullmatch(r"[| :]*-[-| :]*", line) is not None)  # and the rule below it
        if not left_out:
            lines.append(line)
    return _EMPTY_TABLE.sub("", "\n".join(lines))


def links_out_of(manual: str, text: str, folder: str) -> Iterator[tuple[re.Match[str], str, str]]:
    """Yield each link that leads out of the manual: the match, the path in the repository, and the anchor.

    Args:
        manual: The folder of the manual, in the repository.
        text: A page, or a file that a page includes.
        folder: The folder that its links are relative to, in the repository.
    """
    for found in LINK.finditer(text):
        path, _, anchor = (found["target"] or "").partition("#")
        if found["code"] is None and not found["picture"] and path and not _SCHEME.match(path):
            target = normpath(join(folder, path))
            if not f"{target}/".startswith(f"{manual}/"):
                yield found, target, anchor


def without_dead_links(manual: str, text: str, folder: str, address: str) -> str:
    """Return a page whose links out of the manual lead to the public address, or are only their text."""
    parts, end = [], 0
    for found, path, anchor in links_out_of(manual, text, folder):
        target = file_address(address, path) + (f"#{anchor}" if anchor else "")
        parts += [text[end : found.start()], f"[{found['text']}]({target})" if address else found["text"]]
        end = found.end()
    return "".join([*parts, text[end:]])
