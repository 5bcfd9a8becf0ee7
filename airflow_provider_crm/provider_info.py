"""Describe the provider to Airflow: its connection types with their forms, and the modules of its parts.

A distribution with a vendor of its own is a provider, too: its provider info is `vendor_provider_info`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from airflow_provider_crm import __version__
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import COMMON_EXTRA, ExtraField
from airflow_provider_crm.vendors.protocol import Vendor

_HOOKS = {
    "close": "airflow_provider_crm.hooks.close.CloseHook",
    "raze": "airflow_provider_crm.hooks.raze.RazeHook",
    "hubspot": "airflow_provider_crm.hooks.hubspot.HubSpotHook",
    "crm_salesforce": "airflow_provider_crm.hooks.salesforce.CrmSalesforceHook",
}
"""The hook classes of the package's own vendors."""

_OPERATORS = tuple(f"airflow_provider_crm.operators.{name}" for name in ("opportunity", "plan", "ledger"))

_OPTIONS = {
    "ledger_conn_id": {
        "description": "Connection to the PostgreSQL or SQLite database of the ledger. "
        "If empty, the ledger is a SQLite file in the Airflow home, which only local executors can share.",
        "version_added": None,
        "type": "string",
        "example": "crm_ledger",
        "default": "",
    },
    "page": {
        "description": "Whether Airflow shows the CRM page: its entry in the navigation, its tabs and its links. "
        "The API server reads this option when it starts.",
        "version_added": None,
        "type": "boolean",
        "example": "False",
        "default": "True",
    },
    "daily_share": {
        "description": "Part of a CRM's daily limit that all runs on one key together may use, above 0, at most 1. "
        "The argument daily_share of an operator or a hook takes precedence.",
        "version_added": None,
        "type": "float",
        "example": "0.8",
        "default": "0.5",
    },
    "keep_changes_days": {
        "description": "Number of days after which `airflow crm prune` and PruneLedgerOperator delete the changes of "
        "runs from the ledger. If empty, changes are kept for ever.",
        "version_added": None,
        "type": "integer",
        "example": "365",
        "default": "",
    },
    "keep_deal_names": {
        "description": "Whether the ledger keeps the names of opportunities, for the CRM page. A name that no answer "
        "shows anyway is read once. When the option is set to False, the next run of an account deletes its names.",
        "version_added": None,
        "type": "boolean",
        "example": "True",
        "default": "False",
    },
    "ledger_hash_fields": {
        "description": "Fields, separated by commas, whose values the ledger stores only as hashes. "
        "Their values appear in no message, log or page.",
        "version_added": None,
        "type": "string",
        "example": "email,phone,name",
        "default": "",
    },
    "ledger_hash_key": {
        "description": "Key of those hashes: a long random text, the same for all of Airflow. If empty, it is derived "
        "from the first of Airflow's Fernet keys. After a change of the key, each hashed field is written once more.",
        "version_added": None,
        "type": "string",
        "sensitive": True,
        "example": None,
        "default": "",
    },
}


def get_provider_info() -> dict[str, Any]:
    """Return the description of the provider, with one connection type for each of the package's own vendors."""
    vendors = {name: VENDORS[name] for name in _HOOKS}
    titles = [vendor.display_name for vendor in vendors.values()]
    return {
        "package-name": "airflow-provider-crm",
        "name": "CRM",
        "description": f"Pushes warehouse values into CRM opportunities ({', '.join(titles)}); no row is lost.",
        "versions": [__version__],
        "integrations": [integration(vendor) for vendor in vendors.values()],
        "hooks": [_hook_modules(vendor, _HOOKS[name]) for name, vendor in vendors.items()],
        "operators": [
            {
                "integration-name": title,
                "python-modules": list(_OPERATORS),
            }
            for title in titles
        ],
        "transfers": [
            {
                "source-integration-name": "Common SQL",
                "target-integration-name": title,
                "python-module": "airflow_provider_crm.transfers.sql_to_opportunity",
            }
            for title in titles
        ],
        "asset-uris": [
            {
                "schemes": ["crm"],
                "handler": "airflow_provider_crm.assets.sanitize_uri",
                "to_openlineage_converter": "airflow_provider_crm.assets.convert_asset_to_openlineage",
                "factory": "airflow_provider_crm.assets.create_asset",
            }
        ],
        "cli": ["airflow_provider_crm.cli.get_crm_commands"],
        "extra-links": ["airflow_provider_crm.operators.links.CrmRunLink"],
        "config": {"crm": {"description": "Settings of the CRM provider.", "options": _OPTIONS}},
        "connection-types": [connection_type(vendor, _HOOKS[name]) for name, vendor in vendors.items()],
    }


def vendor_provider_info(package_name: str, hooks: Mapping[str, str]) -> dict[str, Any]:
    """Return the description of another distribution, whose vendors are in `VENDORS` by their entry points.

    A vendor that cannot be used has a connection type without a form of its own. Airflow would list no provider at all
    if one of them raised an error; and the test of such a connection says why the vendor cannot be used.

    Args:
        package_name: Name of the distribution.
        hooks: Full name of the subclass of `hooks.crm.CrmHook`, such as `acme_crm.hook.AcmeHook`, by connection type.
    """
    vendors = {name: VENDORS[name] for name in hooks if name in VENDORS}
    titles = ", ".join(vendor.display_name for vendor in vendors.values()) or package_name
    unusable = [{"connection-type": name, "hook-class-name": hooks[name]} for name in hooks if name not in vendors]
    return {
        "package-name": package_name,
        "name": titles,
        "description": f"Pushes warehouse values into opportunities ({titles}).",
        "versions": [version(package_name)],
        "integrations": [integration(vendor) for vendor in vendors.values()],
        "hooks": [_hook_modules(vendor, hooks[name]) for name, vendor in vendors.items()],
        "connection-types": [*(connection_type(vendor, hooks[name]) for name, vendor in vendors.items()), *unusable],
    }


def integration(vendor: Vendor) -> dict[str, Any]:
    """Return the entry of a vendor in the `integrations` of a provider info."""
    return {"integration-name": vendor.display_name, "external-doc-url": vendor.documentation, "tags": ["service"]}


def _hook_modules(vendor: Vendor, hook_class_name: str) -> dict[str, Any]:
    return {"integration-name": vendor.display_name, "python-modules": [hook_class_name.rpartition(".")[0]]}


def connection_type(vendor: Vendor, hook_class_name: str) -> dict[str, Any]:
    """Return the entry of a vendor in the `connection-types` of a provider info, with its connection form.

    Args:
        vendor: The vendor.
        hook_class_name: Full name of the subclass of `hooks.crm.CrmHook` for its connections, such as
            `acme_crm.hook.AcmeHook`.
    """
    return {
        "connection-type": vendor.name,
        "hook-class-name": hook_class_name,
        "hook-name": f"{vendor.display_name} opportunities",  # other providers have types of the vendor's name
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "login", "port"],
            "relabeling": {"password": vendor.api_key_label, "host": "Host (optional)"},
            "placeholders": {"host": vendor.origin},
        },
        "conn-fields": {name: _form_field(field) for name, field in {**COMMON_EXTRA, **vendor.extra}.items()},
    }


def _form_field(field: ExtraField) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": [field.type, "null"]}
    if field.secret:
        schema["format"] = "password"
    return {"label": field.label, "description": field.description, "schema": schema}
