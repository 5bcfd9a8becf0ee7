"""Errors on the way to the vendor name their cause and the cure: certificates, plain http, proxies."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import (
    ConfigurationError,
    IgnoredError,
    RejectedError,
    TransientError,
    UnknownFieldError,
)
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.write import write_update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.calls import Call
from airflow_provider_crm.vendors.catalogue import Catalogue
from airflow_provider_crm.vendors.credentials import Credentials

from .raw_server import RawServer, http

RECORD = http(b'{"success": true, "data": {"id": "opp_1"}}')
NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Neither proxies nor certificates, but for those of a test."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name)


@pytest.fixture
def certificate(tmp_path):
    """Make a certificate that signs itself; returns its file and the context of a server that has it."""

    def make(address="127.0.0.1", days=1):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(NOW - dt.timedelta(days=9))
            .not_valid_after(NOW + dt.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        file = tmp_path / "certificate.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        both = tmp_path / "both.pem"
        file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        both.write_bytes(file.read_bytes() + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        return file, context

    return make


def failure(origin, kind=ConfigurationError):
    """The error with which a call to a server ends, from one attempt."""
    account = Account(VENDORS["raze"], origin, Credentials("5ecret"), timeout=5.0)
    clock = Clock(sleep=lambda _: None)
    with Session(account, retry=RetryRules(attempts=1), clock=clock) as session, pytest.raises(kind) as failed:
        session.read("opp_1")
    assert "5ecret" not in str(failed.value)
    return failed.value


def test_a_certificate_of_the_bundle_is_good(certificate, monkeypatch):
    """With its certificate in `REQUESTS_CA_BUNDLE` a server of one's own is called over TLS."""
    file, context = certificate()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    with RawServer(RECORD, tls=context) as server:
        account = Account(VENDORS["raze"], server.url, Credentials("key"), timeout=5.0)
        with Session(account) as session:
            assert session.read("opp_1") == {"id": "opp_1"}


@pytest.mark.parametrize(
    ("made", "known", "reason"),
    [
        (("127.0.0.1", 1), False, "self-signed"),
        (("127.0.0.1", -1), True, "expired"),
        (("127.0.0.9", 1), True, "mismatch"),
    ],
)
def test_a_certificate_that_is_not_valid(certificate, monkeypatch, made, known, reason):
    """Why it is not, in the words of the TLS library, and where to put the certificate of one's own authority."""
    file, context = certificate(*made)
    if known:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    with RawServer(RECORD, tls=context) as server:
        error = failure(server.url)
    assert error.code == "TLS"
    assert reason in str(error)
    assert "REQUESTS_CA_BUNDLE" in str(error)


def test_https_to_a_port_that_speaks_http():
    """The message says that the server speaks plain http, not that its certificate is bad."""
    with RawServer(http(b"", status="400 Bad Request")) as server:
        error = failure(server.url.replace("http:", "https:"))
    assert "plain http is answered where the connection says https" in str(error)
    assert "Check the connection's host and port" in str(error)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_that_is_not_there(certificate, monkeypatch, tmp_path, variable):
    """The file is named, and the variable that names it."""
    monkeypatch.setenv(variable, str(tmp_path / "no.pem"))
    with RawServer(RECORD, tls=certificate()[1]) as server:
        error = failure(server.url)
    assert (error.code, f"{tmp_path}/no.pem is not there" in str(error)) == ("TLS", True)
    assert variable in str(error)


@pytest.mark.parametrize(
    "content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_bundle_without_certificates(certificate, monkeypatch, tmp_path, content):
    """A file that holds none is named, too."""
    (tmp_path / "empty.pem").write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "empty.pem"))
    with RawServer(RECORD, tls=certificate()[1]) as server:
        error = failure(server.url)
    assert (error.code, f"{tmp_path}/empty.pem" in str(error)) == ("TLS", True)


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_proxy_that_wants_a_password(monkeypatch, scheme):
    """A 407 at CONNECT says where user and password of the proxy are written; it is no answer of the vendor."""
    with RawServer(http(b"", "Proxy-Authenticate: Basic", status="407 Proxy Authentication Required")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        error = failure(f"{scheme}://crm.example", ConfigurationError if scheme == "https" else TransientError)
    assert "407" in str(error)
    if scheme == "https":
        assert (error.code, error.status) == ("PROXY", 407)
        assert "HTTPS_PROXY=http://user:password@host:port" in str(error)


@pytest.mark.parametrize("status", ["403 Forbidden", "502 Bad Gateway", "503 Service Unavailable"])
def test_a_proxy_that_does_not_let_through(monkeypatch, status):
    """Its answer to CONNECT is in the message, and nothing was sent: the call is tried again."""
    with RawServer(http(b"", status=status)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = failure("https://crm.example", TransientError)
    assert error.code == "UNREACHABLE"
    assert f"refuses to connect: {status}." in str(error)


def test_a_proxy_that_drips(monkeypatch):
    """Also a proxy that never ends its answer to CONNECT is given up after the timeout."""
    with RawServer((b"HTTP/1.1 200 OK\r\n", *[b"X: 1\r\n"] * 1_000), pause=0.02) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        account = Account(VENDORS["raze"], "https://crm.example", Credentials("key"), timeout=0.3)
        with Session(account, retry=RetryRules(attempts=1)) as session, pytest.raises(TransientError):
            session.read("opp_1")


@pytest.mark.parametrize(
    "proxy", ["http://", "http://[::1", "http://127.0.0.1:99999", "nonsense://127.0.0.1:1", "http://a b:1"]
)
def test_a_proxy_that_is_none(monkeypatch, proxy):
    """An address that no proxy can have is a wrong set-up, and the message says where it is written."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    error = failure("https://crm.example")
    assert "HTTPS_PROXY" in str(error)


def test_custom_fields_are_named_as_people_call_them(crm_sandbox):
    """Close knows a custom field by its id; a refusal, an ignored value and the list of fields say its name, too."""
    crm_sandbox.close.add_opportunity("oppo_1")
    hook = CrmHook.for_connection("close_default")
    catalogue = hook.session.catalogue(("custom.cf_score",))
    call = Call("PUT", "/api/v1/opportunity/oppo_1/", body='{"custom.cf_score": "high"}', fields=("custom.cf_score",))
    with pytest.raises(RejectedError, match=r"custom\.cf_score \(Score\)"):
        write_update(hook.session, (call,), "oppo_1", PushRules(), catalogue)
    crm_sandbox.set(ignored_fields=["custom.cf_health", "custom.cf_products.add"])
    with pytest.raises(IgnoredError, match=r"custom\.cf_health \(Health\)\.") as ignored:
        hook.update_opportunity("oppo_1", {"custom.cf_health": "good"})
    assert ignored.value.field_errors == {"custom.cf_health": "not written"}
    with pytest.raises(IgnoredError, match=r"custom\.cf_products\.add \(Products\)\."):
        hook.update_opportunity("oppo_1", {"custom.cf_products.add": "Core"})
    with pytest.raises(
        UnknownFieldError, match=r"custom\.cf_health \(Health\), .*custom\.cf_products\.add \(Products\)"
    ):
        hook.update_opportunity("oppo_1", {"custom.cf_no": "x"})


def test_labels_are_added_once():
    """Names that begin alike are distinguished, and a text that has its labels already stays as it is."""
    catalogue = Catalogue({}, labels={"custom.cf_1": "A (b)", "custom.cf_12": "B"})
    text = catalogue.with_labels("custom.cf_1, custom.cf_12, custom.cf_1.add, custom.cf_1.adder; custom.cf_123")
    assert text.startswith("custom.cf_1 (A (b)), custom.cf_12 (B), custom.cf_1.add (A (b)), ")
    assert text.endswith("custom.cf_123")
    assert catalogue.with_labels(text) == text
