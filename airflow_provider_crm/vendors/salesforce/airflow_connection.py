"""Use a connection of the type `salesforce`, which Airflow's own provider defines, as far as its fields suffice.

Source of the fields: `SalesforceHook` of apache-airflow-providers-salesforce, and the arguments of simple-salesforce
that it fills with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_crm.vendors.adopted import AdoptedConnection

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.adopted import ForeignConnection

TYPE = "salesforce"
_PREFIX = "extra__salesforce__"  # keys of connections that an older Airflow made in its form
_COMMON_DOMAINS = ("", "login", "test")
_OWN_TYPE = "create a connection of type crm_salesforce"


def adopted(connection: ForeignConnection) -> AdoptedConnection:
    """Return the connection as one of type `crm_salesforce`: by client credentials, or by a signed assertion."""
    domain = _field(connection, "domain")
    host = _host(connection, domain)
    app = {"client_id": _field(connection, "consumer_key")}
    problems = [] if host else [f"its Domain names no My Domain: write it there, such as acme.my, or {_OWN_TYPE}"]
    if _field(connection, "proxies"):
        problems.append("its Proxies are not used: set HTTPS_PROXY for the workers, and leave them out")
    if key := _field(connection, "private_key"):
        audience = f"https://{domain or 'login'}.salesforce.com"
        app |= {"username": connection.login, "private_key": key, "audience": audience}
    elif _field(connection, "private_key_file_path"):
        problems.append("its private key is in a file, which is not read here: write the key itself into Private Key")
    elif connection.login or connection.password:
        problems.append(
            "it signs in by user name and password, which Salesforce retires: give it a Private Key, or leave both out "
            f"beside Consumer Key and Consumer Secret, or {_OWN_TYPE}"
        )
    else:
        app["client_secret"] = _field(connection, "consumer_secret")
    return AdoptedConnection(host, "", {name: text for name, text in app.items() if text}, tuple(problems))


def _field(connection: ForeignConnection, name: str) -> str:
    value = connection.extra.get(name) or connection.extra.get(_PREFIX + name)
    return "" if value is None else str(value).strip()


def _host(connection: ForeignConnection, domain: str) -> str:
    """Return the org's address: the instance that is named, else that of the domain; empty if neither is one."""
    instance = _field(connection, "instance_url") or _field(connection, "instance")
    if instance:
        parts = urlsplit(instance if "://" in instance else f"https://{instance}")
        return f"{parts.scheme}://{parts.netloc}"
    return "" if domain in _COMMON_DOMAINS else f"https://{domain}.salesforce.com"
