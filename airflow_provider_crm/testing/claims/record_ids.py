"""Claims about record ids: none reaches another endpoint, and all spellings of one are one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from airflow_provider_crm.exceptions import CrmError, IgnoredError, InvalidValueError, RejectedError
from airflow_provider_crm.testing.claims.bench_fixture import Claims
from airflow_provider_crm.vendors.comparison import is_written
from airflow_provider_crm.vendors.encoding import check_echo, check_record_id

if TYPE_CHECKING:
    from airflow_provider_crm.testing.bench import Bench

STRANGE_IDS = (
    "../users/1", "a/b?x=1#y", "é", "a\nb", "%2e%2e", "..%2f..%2fme", "/", "a b+c&d=e", "a;b", "\\", "…", "x/stage",
    "batch/read",
)  # fmt: skip
NO_IDS = (".", "..", "...", "", " ", "\t", "\ud800", "a\0b", "x" * 256)


class IdClaims(Claims):
    """Claims about record ids."""

    @pytest.mark.parametrize("record_id", STRANGE_IDS)
    def test_no_id_reaches_another_endpoint(self, bench: Bench, record_id: str) -> None:
        """Any id is one segment of the path on the wire, and names no other resource."""
        known, rows = bench.add(), self._row_of_each_call(bench)
        for row in rows:
            bench.write(known, row)
        bench.session.read(known)
        expected = {(call.method, call.path.replace(quote(known, safe=""), "{}")) for call in bench.sent()}
        bench.sandbox.audit.clear()
        for row in rows:
            with pytest.raises(RejectedError):
                bench.write(record_id, row)
        with pytest.raises(RejectedError):
            bench.session.read(record_id)
        segment = quote(record_id, safe="")
        calls = bench.sent()
        assert all(f"/{segment}" in call.path for call in calls)
        assert {(call.method, call.path.replace(f"/{segment}", "/{}", 1)) for call in calls} <= expected
        assert ([call.query for call in calls if call.query], bench.sandbox.audit.writes) == ([], [])

    @pytest.mark.parametrize("record_id", STRANGE_IDS)
    def test_a_strange_id_that_exists(self, bench: Bench, record_id: str) -> None:
        """An id arrives as it is: a record of that very id is found by every call of a row."""
        try:
            bench.account.add_opportunity(record_id, **self.subject.record)
        except ValueError:
            pytest.skip(f"{self.subject.vendor.display_name} has no such ids")
        for row in self._row_of_each_call(bench):
            bench.write(record_id, row)
        check_record_id(bench.session.read(record_id), record_id, self.subject.vendor)
        assert {write.record_id for write in bench.sandbox.audit.writes} == {record_id}

    @pytest.mark.parametrize("record_id", NO_IDS, ids=repr)
    def test_an_id_that_is_none(self, bench: Bench, record_id: str) -> None:
        """Dots that URL libraries resolve, and nothing at all, are refused before anything is sent."""
        rows, sent = self._row_of_each_call(bench), len(bench.sent())
        for row in rows:
            with pytest.raises(InvalidValueError):
                bench.write(record_id, row)
        with pytest.raises(InvalidValueError):
            bench.session.read(record_id)
        assert len(bench.sent()) == sent

    def test_an_id_has_one_spelling(self, bench: Bench) -> None:
        """The canonical spelling of an id is its own, and an id that the vendor shows is canonical."""
        canonical_id = self.subject.vendor.canonical_id
        spellings = self.subject.spellings
        for text in (
            *STRANGE_IDS,
            *NO_IDS,
            *spellings,
            "0",
            "007",
            "6F1C1F5E-9F0B-4A55-8A0E-1F2D3C4B5A69",
            "00A1b2C3d4E5f6G",
        ):
            assert canonical_id(canonical_id(text)) == canonical_id(text)
        assert [one for one in bench.add_many(3) if canonical_id(one) != one] == []
        assert {canonical_id(one) for one in spellings} == set(spellings[:1])
        assert canonical_id("ab1") != canonical_id("ab2")

    def test_every_spelling_reaches_the_record(self, bench: Bench) -> None:
        """A record is found, and recognized, by every spelling of its id."""
        if not self.subject.spellings:
            pytest.skip(f"{self.subject.vendor.display_name} spells an id in one way")
        bench.account.add_opportunity(self.subject.spellings[0], **self.subject.record)
        for spelling in self.subject.spellings:
            record = bench.session.read(self.subject.vendor.canonical_id(spelling))
            check_record_id(record, spelling, self.subject.vendor)
            for row in self._row_of_each_call(bench):
                bench.write(spelling, row)

    def test_another_record(self, bench: Bench) -> None:
        """A 2xx with the record of another id confirms nothing, whatever that record holds."""
        first, second = bench.add_many(2)
        for row in self._row_of_each_call(bench):
            bench.write(first, row)
            for call in bench.calls(second, row):
                keys = () if call.route is None else call.route.keys
                other = bench.session.read(first, keys)
                with pytest.raises(IgnoredError) as noticed:
                    check_echo(call, other, second, self.subject.vendor, bench.catalogue)
                assert noticed.value.field_errors.keys() == {self.subject.vendor.id_key}
                assert not is_written(call, other, self.subject.vendor, bench.catalogue)

    def test_a_record_that_is_gone(self, bench: Bench) -> None:
        """A record that does not exist is a rejection of its row with the status 404, in reads and in writes."""
        record_id = bench.missing()
        with pytest.raises(RejectedError) as unread:
            bench.session.read(record_id)
        refusals = [unread.value]
        for row in self._row_of_each_call(bench):
            with pytest.raises(RejectedError) as refused:
                bench.write(record_id, row)
            refusals.append(refused.value)
        assert [(one.status, one.record_id) for one in refusals] == [(404, record_id)] * len(refusals)
        assert [one for one in refusals if isinstance(one, IgnoredError)] == []

    def test_the_page_of_a_record(self, bench: Bench) -> None:
        """People get a link for records of the vendor's own service only; no id leads it elsewhere."""
        vendor, record_id = self.subject.vendor, bench.add()
        organization = bench.catalogue.organization or "org"
        assert vendor.record_url(bench.sandbox.url, organization, record_id) is None
        assert vendor.record_url("https://other.example", organization, record_id) is None
        page = vendor.record_url(vendor.origin, organization, record_id)
        if page is None:
            pytest.skip(f"{vendor.display_name} documents no page of a record")
        head, found, tail = page.partition(record_id)
        assert (head[:8], found) == ("https://", record_id)
        for strange in STRANGE_IDS:
            assert vendor.record_url(vendor.origin, organization, strange) == f"{head}{quote(strange, safe='')}{tail}"
        with pytest.raises(CrmError):
            vendor.record_url(vendor.origin, organization, "..")

    def _row_of_each_call(self, bench: Bench) -> list[dict[str, object]]:
        """Return a row for each way in which the vendor writes."""
        rows: dict[tuple[str, str], dict[str, object]] = {}
        for name, example in self.subject.values.items():
            for call in bench.calls("x", {name: example.value}):
                rows.setdefault((call.method, call.path), {name: example.value})
        return list(rows.values())
