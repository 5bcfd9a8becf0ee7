"""From an Airflow connection to an account: accepted connections, and the message of each mistake."""

from __future__ import annotations

import base64
import json

import pytest
from airflow.sdk.log import redact

from airflow_provider_crm.budget.stated import StatedLimit
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.hooks.close import CloseHook
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.hooks.hubspot import HubSpotHook
from airflow_provider_crm.hooks.raze import RazeHook
from airflow_provider_crm.hooks.salesforce import CrmSalesforceHook
from airflow_provider_crm.vendors import VENDORS

HOOKS = {"close": CloseHook, "raze": RazeHook, "hubspot": HubSpotHook, "crm_salesforce": CrmSalesforceHook}
HOSTS = {"crm_salesforce": "https://acme.my.salesforce.com"}
"""The host of a connection, where each account has one of its own."""
EXTRA = "timezone, timeout, account, budget"


@pytest.fixture
def connection(monkeypatch):
    """Set the connection `crm`."""
    return lambda **fields: monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(fields))


@pytest.fixture
def problem_of(connection):
    """Return the message about a connection of one type, without its name."""

    def problem_of(conn_type="close", *, hook=None, **fields):
        connection(conn_type=conn_type, **fields)
        with pytest.raises(ConfigurationError) as wrong:
            HOOKS[hook or conn_type]("crm").account()
        prefix = f"Connection 'crm' ({VENDORS[hook or conn_type].display_name}): "
        assert str(wrong.value).startswith(prefix)
        return str(wrong.value).removeprefix(prefix)

    return problem_of


@pytest.fixture
def account(connection):
    """The account of a connection."""

    def account(conn_type="close", **fields):
        host = {"host": HOSTS[conn_type]} if conn_type in HOSTS else {}
        connection(conn_type=conn_type, **{"password": "k3y", **host, **fields})
        return HOOKS[conn_type]("crm").account()

    return account


# Accepted


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_key_is_enough(account, vendor):
    """A password alone makes a whole connection: the vendor's own host, UTC, 30 seconds, the connection's name."""
    made = account(vendor)
    origin = HOSTS.get(vendor, VENDORS[vendor].origin)
    assert (made.vendor, made.origin, made.credentials.api_key) == (VENDORS[vendor], origin, "k3y")
    assert (made.timezone, made.timeout, made.name) == (None, 30.0, "crm")


def test_a_token_is_enough_for_close(account):
    """Close takes an access token instead of a key."""
    made = account(password="", extra={"access_token": "t0ken"})
    assert (made.credentials.api_key, made.credentials.extra) == (None, {"access_token": "t0ken"})


def test_a_token_of_raze_is_unknown(problem_of):
    """Raze has no such key: it is refused by name, not ignored."""
    assert problem_of("raze", password="k", extra={"access_token": "t"}) == (
        f"its extra has unknown keys 'access_token'; known are {EXTRA}."
    )


def test_the_extra(account):
    """The optional keys arrive; a timeout may be a number or text, and an empty key counts as absent."""
    made = account(extra={"timezone": "Asia/Kathmandu", "timeout": "2.5", "account": "Acme"})
    assert (made.timezone, made.timeout, made.name) == ("Asia/Kathmandu", 2.5, "Acme")
    made = account(extra={"timezone": "", "timeout": None, "account": ""})
    assert (made.timezone, made.timeout, made.name) == (None, 30.0, "crm")


@pytest.mark.parametrize(
    ("fields", "origin"),
    [
        ({"host": "https://crm.example"}, "https://crm.example"),
        ({"host": "crm.example"}, "https://crm.example"),
        ({"host": " https://crm.example/ "}, "https://crm.example"),
        ({"host": "https://crm.example:8443"}, "https://crm.example:8443"),
        ({"host": "crm.example", "port": 8443}, "https://crm.example:8443"),
        ({"host": "http://127.0.0.1:8000"}, "http://127.0.0.1:8000"),
        ({"host": "http://localhost:8000"}, "http://localhost:8000"),
        ({"host": "http://[::1]:8000"}, "http://[::1]:8000"),
        ({"host": "https://[2001:db8::1]"}, "https://[2001:db8::1]"),
    ],
)
def test_hosts(account, fields, origin):
    """A host is an origin, https unless it says http to this machine."""
    assert account(**fields).origin == origin


def test_a_connection_as_uri(monkeypatch):
    """The URI form of a connection works as well."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM", "raze://:gr_live_x@127.0.0.1:8000/?timezone=UTC")
    made = RazeHook("crm").account()
    assert (made.origin, made.credentials.api_key, made.timezone) == ("https://127.0.0.1:8000", "gr_live_x", "UTC")


def test_the_connection_is_read_once(connection, crm_sandbox):
    """One hook reads its connection when it is first needed, and never again."""
    hook = RazeHook("raze_default")
    first = hook.session
    assert (hook.session, hook.get_conn(), hook.base_url) == (first, first.http, crm_sandbox.url)


# Wrong


@pytest.mark.parametrize(
    ("vendor", "text"),
    [
        (
            "close",
            (
                "the API key is missing: put it in the connection's password (or an OAuth token in extra.access_token, "
                "or extra.client_id, client_secret and refresh_token)."
            ),
        ),
        ("raze", "the API key is missing: put it in the connection's password."),
    ],
)
@pytest.mark.parametrize("password", [{}, {"password": ""}, {"password": None}])
def test_a_missing_key(problem_of, vendor, text, password):
    """The message says where the key goes."""
    assert problem_of(vendor, **password) == text


def test_key_and_token(problem_of):
    """Two credentials are one too many: which of them is meant cannot be guessed."""
    assert problem_of(password="k", extra={"access_token": "t"}) == (
        "both an API key (password) and extra.access_token are set; keep one of them."
    )


def test_an_unknown_key_of_the_extra(problem_of):
    """The message about a misspelt key lists all the known ones."""
    assert problem_of(password="k", extra={"timezon": "UTC", "verify": False}) == (
        f"its extra has unknown keys 'timezon', 'verify'; known are {EXTRA}, access_token, "
        "client_id, client_secret, refresh_token."
    )


@pytest.mark.parametrize("name", ["EST5", "Europe/Atlantis", "+02:00", 5])
def test_a_wrong_time_zone(problem_of, name):
    """The message about a time zone that is no IANA name has an example."""
    assert problem_of(password="k", extra={"timezone": name}) == (
        f"timezone {str(name)!r} is not in the IANA zone database; write one such as 'America/New_York' or 'UTC'."
    )


def test_a_budget(account):
    """A stated limit is part of the account, and an empty one counts as absent."""
    assert account(extra={"budget": "600/1m"}).stated == StatedLimit(600, 60)
    assert account(extra={"budget": ""}).stated is None


@pytest.mark.parametrize("value", ["fast", "40", "40/s", 40, ["40/1s"]])
def test_a_wrong_budget(problem_of, value):
    """A budget is calls per time, and the message shows some."""
    assert problem_of(password="k", extra={"budget": value}) == (
        f"budget is {value!r}; write calls per time, such as '40/1s', '600/1m' or '1000/1h'."
    )


@pytest.mark.parametrize("value", ["soon", 0, -1, "nan", "inf", 3601, [1], True, False])
def test_a_wrong_timeout(problem_of, value):
    """A timeout is a number of seconds, up to an hour."""
    assert problem_of(password="k", extra={"timeout": value}) == f"timeout is {value!r}; write seconds, such as 30."


@pytest.mark.parametrize(
    "host",
    [
        *("http://crm.example", "http://10.0.0.1", "http://localhost.example", "http://127.0.0.1.example"),
        *("http://127.999.999.999", "http://127.1", "http://127.0.0.01", "http://0.0.0.0", "http://[::]"),
    ],
)
def test_plain_http(problem_of, host):
    """Plain http to another machine would show the key on the network."""
    assert problem_of(password="k", host=host) == (
        f"host is {host!r}: plain http would show the key to the network; write https."
    )


@pytest.mark.parametrize(
    "host",
    [
        "https://crm.example/api/v1",
        "crm.example/api",
        "https://crm.example?x=1",
        "https://crm.example#x",
        "ftp://crm.example",
        "https://",
        "https://[::1",
        "https://crm example",
        "https://*.example",
    ],
)
def test_a_host_that_is_no_origin(problem_of, host):
    """A host with a path, a user or another scheme, or none at all, is refused with the vendor's own as an example."""
    assert problem_of(password="k", host=host) == (
        f"host is {host.removesuffix('/')!r}; write an origin such as 'https://api.close.com', without path or user."
    )


@pytest.mark.parametrize("host", ["https://user@crm.example", "https://user:5ecret@crm.example", "5e/cret@crm.example"])
def test_a_user_in_the_host(problem_of, host):
    """A host with a user is refused without showing it: it may well be a password."""
    start = "https://" if host.startswith("https") else ""
    assert problem_of(password="k", host=host) == (
        f"host is '{start}***@crm.example'; write an origin such as 'https://api.close.com', without path or user."
    )


@pytest.mark.parametrize("host", ["https://crm.example:x", "https://crm.example:99999"])
def test_a_wrong_port(problem_of, host):
    """A wrong port is refused."""
    assert problem_of(password="k", host=host) == f"host {host!r} has no valid port."


@pytest.mark.parametrize("extra", ["{nope", '"text"', "[1]", "5"])
def test_a_broken_extra(problem_of, extra):
    """An extra that is no JSON object is refused with an example, and none of its text is shown."""
    assert (
        problem_of(password="k", extra=extra) == 'its extra is no JSON object such as {"timezone": "America/New_York"}.'
    )


@pytest.mark.parametrize("key", ["k3y\n", "k 3y", " k3y", "schlüssel", "k\x00y"])
def test_a_key_that_no_header_can_carry(problem_of, key):
    """A key with a line end, a space or a letter beyond ASCII was pasted wrongly; the message does not show it."""
    text = problem_of(password=key)
    assert text == "the API key (password) has characters that no HTTP header can contain."


def test_a_wrong_type(problem_of):
    """A hook on another vendor's connection says which type it found."""
    assert problem_of("raze", hook="close", password="k") == "its type is 'raze' instead of 'close'."


def test_all_mistakes_at_once(problem_of):
    """All mistakes in a connection are reported in one error."""
    text = problem_of(host="http://crm.example/api", extra={"timezone": "Mars", "timeout": "x", "verify": False})
    parts = ("unknown keys 'verify'", "API key is missing", "write an origin", "timezone 'Mars'", "timeout is 'x'")
    assert [part for part in parts if part not in text] == []
    assert text.count("; ") >= 4


def test_no_connection():
    """The message about a missing connection names the types it may have and the variable that would define it."""
    with pytest.raises(ConfigurationError) as missing:
        CrmHook.for_connection("nowhere")
    assert str(missing.value) == (
        "There is no connection 'nowhere'; create one of type close, raze, hubspot or crm_salesforce, or set "
        "AIRFLOW_CONN_NOWHERE."
    )


def test_a_connection_of_another_kind(monkeypatch):
    """The message about a connection that is no CRM names its type and the types that are."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps({"conn_type": "postgres", "host": "db"}))
    with pytest.raises(ConfigurationError) as wrong:
        CrmHook.for_connection("crm")
    assert str(wrong.value) == (
        "Connection 'crm' is of type 'postgres': an opportunity can be written to a connection of type close, raze, "
        "hubspot or crm_salesforce."
    )


@pytest.mark.parametrize(("vendor", "hook"), HOOKS.items())
def test_the_type_chooses_the_hook(connection, vendor, hook):
    """`for_connection` makes the hook of the vendor that the type names, on that connection."""
    connection(conn_type=vendor, password="k")
    made = CrmHook.for_connection("crm")
    assert (type(made), made.crm_conn_id, made.vendor) == (hook, "crm", VENDORS[vendor])


@pytest.mark.parametrize(("vendor", "hook"), HOOKS.items())
def test_default_connections(vendor, hook):
    """Each hook has the default connection that its vendor's name suggests."""
    assert (hook().crm_conn_id, hook.conn_type, hook.hook_name) == (
        f"{vendor}_default",
        vendor,
        VENDORS[vendor].display_name,
    )


# Secrets


@pytest.mark.parametrize("vendor", VENDORS)
def test_airflow_masks_the_key(account, vendor):
    """From the moment the connection is read, Airflow's logs show neither the key nor its base64 form."""
    key = f"5ecret-of-{vendor}-to-mask"
    account(vendor, password=key)
    travelling = base64.b64encode(f"{key}:".encode()).decode()
    assert redact(f"X-API-Key: {key}, Authorization: Basic {travelling}") == (
        "X-API-Key: ***, Authorization: Basic ***"
    )


def test_airflow_masks_the_token(account):
    """The same for an access token."""
    account(password="", extra={"access_token": "5ecret-token-to-mask"})
    assert redact("Bearer 5ecret-token-to-mask") == "Bearer ***"


def test_a_wrong_connection_is_masked_too(problem_of):
    """A connection that is refused for another reason still hides its key, also in the message."""
    text = problem_of(
        password="5ecret-of-a-wrong-connection", extra={"access_token": "5ecret-token-of-it", "x": "5ecret-x"}
    )
    assert "5ecret" not in text
    assert redact("5ecret-of-a-wrong-connection 5ecret-token-of-it") == "*** ***"
