"""A connection of the type that Airflow's own Salesforce provider defines is used as it stands, where it suffices."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.hooks.salesforce import CrmSalesforceHook

from .test_tokens import pem, public_pem


@pytest.fixture
def connection(monkeypatch):
    """Set the connection `salesforce_default`."""

    def connection(extra, **fields):
        made = {"conn_type": "salesforce", "extra": extra, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", json.dumps(made))

    return connection


def app(sandbox, prefix=""):
    """Return consumer key and secret, and the instance."""
    tokens = sandbox.salesforce.tokens
    fields = {"consumer_key": tokens.client_id, "consumer_secret": tokens.client_secret, "instance_url": sandbox.url}
    return {prefix + name: text for name, text in fields.items()}


@pytest.mark.parametrize("prefix", ["", "extra__salesforce__"])
def test_client_credentials(connection, sandbox, prefix):
    """Consumer key and secret are those of the app; either hook leads to the org, and a run zone of ours is read."""
    connection({**app(sandbox, prefix), "timezone": "America/New_York", "version": "60.0"})
    record_id = sandbox.salesforce.add_opportunity(Amount=1)["Id"]
    for hook in (
        CrmHook.for_connection("salesforce_default", ledger_conn_id=None),
        CrmSalesforceHook("salesforce_default"),
    ):
        assert hook.get_opportunity(record_id)["Amount"] == 1
        assert hook.account().timezone == "America/New_York"
        assert hook.account().vendor.name == "crm_salesforce"


def test_a_signed_assertion(connection, sandbox):
    """A private key signs for the user, to the audience that the domain names."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    sandbox.clock.set(None)
    tokens = sandbox.salesforce.tokens
    tokens.public_key = public_pem(key)
    extra = {"consumer_key": tokens.client_id, "private_key": pem(key), "instance_url": sandbox.url}
    connection(extra, login=tokens.username)
    assert CrmSalesforceHook("salesforce_default").test_connection()[0]
    assert (
        CrmSalesforceHook("salesforce_default").account().credentials.extra["audience"]
        == "https://login.salesforce.com"
    )
    connection({**extra, "domain": "test"}, login=tokens.username)
    assert (
        CrmSalesforceHook("salesforce_default").account().credentials.extra["audience"] == "https://test.salesforce.com"
    )


@pytest.mark.parametrize(
    ("extra", "host"),
    [
        ({"domain": "acme.my"}, "https://acme.my.salesforce.com"),
        ({"domain": "acme--uat.sandbox.my"}, "https://acme--uat.sandbox.my.salesforce.com"),
        ({"instance": "acme.my.salesforce.com", "domain": "login"}, "https://acme.my.salesforce.com"),
        ({"instance_url": "https://acme.my.salesforce.com/services"}, "https://acme.my.salesforce.com"),
    ],
)
def test_the_org_is_the_one_that_the_fields_name(connection, extra, host):
    """By its instance, else by its domain."""
    connection({"consumer_key": "k", "consumer_secret": "s", **extra})
    assert CrmSalesforceHook("salesforce_default").account().origin == host


@pytest.mark.parametrize(
    ("extra", "fields", "problem"),
    [
        ({"domain": "test"}, {}, "its Domain names no My Domain: write it there, such as acme.my"),
        ({"domain": "acme.my"}, {"login": "u", "password": "p"}, "by user name and password, which Salesforce retires"),
        (
            {"domain": "acme.my", "private_key_file_path": "/key"},
            {"login": "u"},
            "write the key itself into Private Key",
        ),
        ({"domain": "acme.my", "proxies": "{}"}, {}, "set HTTPS_PROXY for the workers"),
        ({"domain": "acme.my"}, {}, "extra.client_secret is missing"),
    ],
)
def test_a_connection_that_does_not_suffice_says_what_to_do(connection, extra, fields, problem):
    """The error names the field in the words of that connection's form, and shows no secret."""
    connection({"consumer_key": "k3y", **extra}, **fields)
    with pytest.raises(ConfigurationError) as wrong:
        CrmHook.for_connection("salesforce_default", ledger_conn_id=None).account()
    assert str(wrong.value).startswith("Connection 'salesforce_default' (Salesforce): ")
    assert problem in str(wrong.value)
    assert "k3y" not in str(wrong.value)
    assert "its host is missing" not in str(wrong.value)  # in the words of another form
