"""Read the pages of the manual: their code blocks, headings, tables and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.outside_vendor.quotes import BLOCK

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_INLINE_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"!?\[[^\[\]]*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block of a page.

    Attributes:
        page: Name of the page's file.
        language: The word after the fence; may be empty.
        code: What is in it.
        reference: What a comment before it says that it quotes, or None.
        line: Line of its fence, from 1.
    """

    page: str
    language: str
    code: str
    reference: str | None
    line: int

    def __str__(self) -> str:
        """Return where it is."""
        return f"{self.page}:{self.line}"


def text_of(page: str) -> str:
    """Return the text of a page of `docs/`."""
    return (DOCS / page).read_text(encoding="utf-8")


def blocks_of(path: Path) -> Iterator[CodeBlock]:
    """Yield the fenced blocks of a page, in their order."""
    text = path.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("code"))
        yield CodeBlock(path.name, found["language"], found["code"], found["reference"], line)


def all_blocks() -> list[CodeBlock]:
    """Return the fenced blocks of all pages."""
    return [block for page in PAGES for block in blocks_of(page)]


def prose(text: str) -> str:
    """Return the text of a page without its code blocks and comments."""
    return _COMMENT.sub("", BLOCK.sub("", text))


def section(text: str, title: str) -> str:
    """Return what stands below a heading, up to the next one that is not below it."""
    (found,) = re.finditer(rf"^(#+) {re.escape(title)}\n", text, re.MULTILINE)
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", BLOCK.sub(lambda block: "\n" * len(block[0]), rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def first_cells(text: str) -> list[str]:
    """Return the code in the first cells of a text's tables, in their order."""
    cells = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]


def links_of(path: Path) -> list[str]:
    """Return the targets of a page's links and pictures."""
    return _LINK.findall(_INLINE_CODE.sub("code", prose(path.read_text(encoding="utf-8"))))


def anchors_of(path: Path) -> set[str]:
    """Return the anchors of a page's headings, by GitHub's rule."""
    found: dict[str, int] = {}
    anchors = set()
    for title in _HEADING.findall(prose(path.read_text(encoding="utf-8"))):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = found.get(anchor, 0)
        found[anchor] = number + 1
        anchors.add(f"{anchor}-{number}" if number else anchor)
    return anchors
