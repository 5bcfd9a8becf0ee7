"""The routes of the pages, a module for each page."""

from __future__ import annotations

from fastapi import APIRouter

from airflow_provider_crm.ui.routes import overview, plan, record, run

router = APIRouter()
for page in (overview, run, record, plan):
    router.include_router(page.router)
