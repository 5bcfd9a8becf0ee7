"""Declare a text of an address, as every page takes it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Query
from pydantic import AfterValidator

# No id and no text of a ledger contains a NUL, and PostgreSQL refuses queries that do.
ShortText: TypeAlias = Annotated[str, Query(max_length=500), AfterValidator(lambda text: text.replace("\0", ""))]
