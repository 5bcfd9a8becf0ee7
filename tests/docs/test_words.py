"""The pages are written in plain English: short sentences, and none of the words that hide who does what."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import PAGES, prose

AVOIDED = re.compile(
    r"\b(told|tells?|somebody|nobody|likewise|anew|meanwhile|all the same|utilize|in order to be able)\b", re.IGNORECASE
)
_CODE = re.compile(r"`[^`\n]*`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_words_to_avoid_are_avoided(page):
    """No page has a word that language has a better one for; code is left out."""
    text = _CODE.sub("", prose(page.read_text(encoding="utf-8")))
    assert AVOIDED.findall(text) == []
