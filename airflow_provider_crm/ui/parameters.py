"""Declare the parameters that several pages take from a request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from pydantic import AfterValidator

from airflow_provider_crm.ui.pages import PageMaker, pages_of

PagesDep = Annotated[PageMaker, Depends(pages_of)]
PageNumber = Annotated[int, Query(ge=1, le=10_000)]
# No id and no text of a ledger contains a NUL, and PostgreSQL refuses queries that do.
Text = Annotated[str, Query(max_length=500), AfterValidator(lambda text: text.replace("\0", ""))]
