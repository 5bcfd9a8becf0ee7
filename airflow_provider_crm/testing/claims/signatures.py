"""Claims about credentials: they are checked, they sign calls to one server, and nothing shows them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.sandbox import Sandbox
from airflow_provider_crm.testing.claims.bench_fixture import Claims
from airflow_provider_crm.vendors.credentials import COMMON_EXTRA, Credentials

if TYPE_CHECKING:
    from airflow_provider_crm.testing.bench import Bench

SECRET = "5ecret-0f-the-account"


class SignatureClaims(Claims):
    """Claims about credentials."""

    def test_missing_credentials(self) -> None:
        """Without any credentials the vendor says what is missing, and signs nothing."""
        missing = self.subject.vendor.authentication(Credentials())
        assert (dict(missing.headers), missing.grant) == ({}, None)
        assert missing.problems
        assert all(missing.problems)

    def test_credentials_are_hidden(self, bench: Bench) -> None:
        """What signs shows nothing, nor does what is wrong with it."""
        vendor = self.subject.vendor
        good = vendor.authentication(bench.session.account.credentials)
        assert (good.problems, bool(good.headers) or good.grant is not None) == ((), True)
        secrets = [one for one in bench.session.account.credentials.secrets() if one]
        shown = repr((good, bench.session, bench.session.account, bench.session.account.credentials))
        assert [one for one in (*secrets, *good.headers.values()) if one in shown] == []
        for credentials in (
            Credentials(SECRET),
            *(Credentials(extra={name: SECRET}) for name in vendor.extra),
            *(Credentials(SECRET, {name: SECRET}) for name in vendor.extra),
            Credentials(SECRET, dict.fromkeys(vendor.extra, SECRET)),
        ):
            made = vendor.authentication(credentials)
            assert SECRET not in repr((made, made.problems, made.grant))
            assert bool(made.problems) != bool(made.headers or made.grant)

    def test_extra(self) -> None:
        """The vendor's own keys of the connection take none of the common names, and are labelled."""
        extra = self.subject.vendor.extra
        assert not extra.keys() & COMMON_EXTRA.keys()
        assert all(one.label for one in extra.values())

    def test_an_echoed_secret(self, bench: Bench) -> None:
        """A vendor that repeats the key in its error does not bring it into a message."""
        password = "wrong-5ecret"
        with bench.connect(password=password) as session, pytest.raises(ConfigurationError) as refused:
            session.probe()
        assert password not in repr(refused.value)
        assert password not in str(refused.value)

    def test_a_redirect_is_not_followed(self, bench: Bench) -> None:
        """A redirect stops the run, and no call reaches the other server."""
        with Sandbox(apis=[self.subject.sandbox_api]) as other:
            bench.sandbox.set(redirect_to=f"{other.url}/elsewhere")
            bench.add()
            for fault in ("redirect_302", "redirect_307"):
                bench.script(fault)
                with pytest.raises(ConfigurationError) as stopped:
                    bench.session.read("x")
                assert stopped.value.code == "REDIRECT"
            assert other.audit.calls == []

    def test_calls_are_signed_for_one_server(self, bench: Bench) -> None:
        """The headers of the credentials go to the account's own origin, and to no other."""
        signed = self.subject.vendor.authentication(bench.session.account.credentials).headers
        path = self.subject.vendor.probe().path
        with Sandbox(apis=[self.subject.sandbox_api]) as other:
            for origin in (bench.sandbox.url, other.url):
                bench.session.http.get(origin + path)
            (own,), (foreign,) = bench.sent(), other.audit.calls
        names = {name.lower() for name in signed}
        assert {name: own.headers.get(name.lower()) for name in signed} == dict(signed)
        assert names & foreign.headers.keys() == set()
        assert not {*signed.values()} & {*foreign.headers.values()}

    @pytest.mark.parametrize("day", ["2027-01-15", "2027-03-14", "2027-07-15", "2027-11-07"])
    def test_the_offset_of_a_call(self, bench: Bench, day: str) -> None:
        """A vendor that asks for the UTC offset gets that of the account's zone at the time of each call."""
        header = self.subject.vendor.offset_header
        if header is None:
            pytest.skip(f"{self.subject.vendor.display_name} asks for no offset")
        zone = ZoneInfo(self.subject.timezone)
        for hour in (0, 12):
            now = dt.datetime.combine(dt.date.fromisoformat(day), dt.time(hour), tzinfo=zone)
            bench.sandbox.clock.set(now)
            bench.session.read(bench.add())
            offset = now.utcoffset()
            assert offset is not None
            assert float(bench.sent()[-1].headers[header.lower()]) == offset.total_seconds() / 3600
