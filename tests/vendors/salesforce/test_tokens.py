"""Claims about the ways to authenticate with Salesforce, over HTTP: each worker fetches a token when it needs one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.testing.handmade import HandmadeAnswer
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials

SALESFORCE = VENDORS["crm_salesforce"]


@pytest.fixture(scope="module")
def key():
    """Return a private key."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def pem(key):
    """Return the text of a private key."""
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def public_pem(key):
    """Return the text of its public key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


@pytest.fixture
def hook(sandbox, monkeypatch):
    """Return a function that makes the hook of a connection with this extra; its clock is the real one."""

    def hook(**extra):
        connection = {"conn_type": "crm_salesforce", "host": sandbox.url, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(connection))
        return CrmHook.for_connection("crm", ledger_conn_id=None)

    return hook


def app(sandbox):
    """Return consumer key and secret."""
    tokens = sandbox.salesforce.tokens
    return {"client_id": tokens.client_id, "client_secret": tokens.client_secret}


def test_client_credentials(hook, sandbox):
    """An app with a secret needs no ledger and no user: the token is fetched at the first call, and used on."""
    made = hook(**app(sandbox))
    assert made.test_connection() == (True, f"Connected to Salesforce, org {sandbox.salesforce.org_id} (currency USD).")
    record_id = sandbox.salesforce.add_opportunity(Amount=1)["Id"]
    assert made.get_opportunity(record_id)["Amount"] == 1
    assert sandbox.salesforce.tokens.issued == 1


def test_a_signed_assertion(hook, sandbox, key):
    """An app with a certificate signs for its user; the key may have its line ends escaped."""
    sandbox.clock.set(None)
    sandbox.salesforce.tokens.public_key = public_pem(key)
    extra = {"client_id": sandbox.salesforce.tokens.client_id, "username": sandbox.salesforce.tokens.username}
    for text in (pem(key), pem(key).replace("\n", "\\n")):
        found, message = hook(**extra, private_key=text).test_connection()
        assert (found, message.startswith("Connected to Salesforce")) == (True, True)
    sandbox.salesforce.tokens.approved = False
    found, message = hook(**extra, private_key=pem(key)).test_connection()
    assert (found, "has not approved the app" in message, pem(key)[30:60] in message) == (False, True, False)


def test_a_session_that_ends_is_renewed_once(hook, sandbox):
    """However many threads meet its end, the worker fetches one new token."""
    made, ids = hook(**app(sandbox)), [sandbox.salesforce.add_opportunity()["Id"] for _ in range(40)]
    made.get_opportunity(ids[0])
    for _ in range(2):
        sandbox.salesforce.tokens.end_sessions()
        with ThreadPoolExecutor(8) as pool:
            assert [one["Id"] for one in pool.map(made.get_opportunity, ids)] == ids
    assert sandbox.salesforce.tokens.issued == 3


def test_a_refused_app(hook, sandbox):
    """A wrong secret is an error of the set-up that shows no secret."""
    with pytest.raises(AuthenticationError) as refused:
        hook(**{**app(sandbox), "client_secret": "wr0ng"}).get_opportunity("006ak00000OQ4Rx")
    assert ("invalid_client" in str(refused.value), "wr0ng" in str(refused.value)) == (True, False)


def test_a_token_for_another_host(sandbox):
    """An org that is served elsewhere is an error that names the host to write."""
    grant = SALESFORCE.authentication(Credentials(extra=app(sandbox))).grant
    answer = HandmadeAnswer(200, {"access_token": "x", "instance_url": "https://acme.my.salesforce.com"})
    with pytest.raises(ConfigurationError, match=r"write https://acme\.my\.salesforce\.com as the connection's host"):
        grant.read(answer, sandbox.clock.now())


def test_the_host_is_required(monkeypatch):
    """Each org has a host of its own: without one nothing is sent anywhere."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps({"conn_type": "crm_salesforce", "password": "x"}))
    with pytest.raises(ConfigurationError, match=r"its host is missing: .* https://\{mydomain\}\.my\.salesforce\.com"):
        CrmHook.for_connection("crm").account()


@pytest.mark.parametrize(
    ("password", "extra", "text"),
    [
        (None, {}, "it has no access token"),
        ("x", {"client_id": "a"}, "keep one of them"),
        (None, {"client_id": "a"}, "extra.client_secret is missing"),
        (None, {"client_secret": "a"}, "extra.client_id is missing"),
        (None, {"client_id": "a", "private_key": "x"}, "extra.username is missing"),
        (None, {"client_id": "a", "username": "u", "private_key": "x"}, "no RSA key in PEM form"),
        (None, {"client_id": "a", "refresh_token": "r", "private_key": "x"}, "keep one of them"),
    ],
)
def test_problems_are_named(password, extra, text):
    """Exactly one way to sign is asked for."""
    problems = SALESFORCE.authentication(Credentials(password, extra)).problems
    assert text in " ".join(problems)
