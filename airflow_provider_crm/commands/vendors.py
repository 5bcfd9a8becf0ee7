"""`airflow crm vendors`: the installed vendors, own and outside, and those that cannot be used."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from airflow.utils.cli import suppress_logs_and_warning

from airflow_provider_crm import __version__
from airflow_provider_crm.commands.printing import print_rows
from airflow_provider_crm.vendors import VENDORS, distribution_of, problems

_COLUMNS = ("connection_type", "name", "distribution", "fields", "extra_keys", "problem")


@suppress_logs_and_warning
def vendors(args: Namespace) -> None:
    """Print each vendor by its connection type."""
    print_rows(list(_rows()), args.output, _COLUMNS)


def _rows() -> Iterator[dict[str, Any]]:
    for connection_type, vendor in VENDORS.items():
        outside = distribution_of(connection_type)
        yield {
            "connection_type": connection_type,
            "name": vendor.display_name,
            "distribution": outside or f"airflow-provider-crm {__version__}",
            "is_own": outside is None,
            "fields": [field.name for field in vendor.documented_fields],
            "extra_keys": list(vendor.extra),
            "api_version": vendor.api_version,
            "documentation": vendor.documentation,
            "problem": None,
        }
    for connection_type, problem in problems().items():
        yield {
            "connection_type": connection_type,
            "name": None,
            "distribution": distribution_of(connection_type),
            "is_own": False,
            "fields": [],
            "extra_keys": [],
            "api_version": None,
            "documentation": None,
            "problem": problem,
        }
