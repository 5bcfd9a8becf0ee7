"""Claims about lists of records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_crm.testing.claims.bench_fixture import Claims

if TYPE_CHECKING:
    from airflow_provider_crm.testing.bench import Bench
    from airflow_provider_crm.vendors.calls import RecordPage
    from airflow_provider_crm.vendors.records import Json


class ListClaims(Claims):
    """Claims about lists of records."""

    @pytest.mark.parametrize("count", [0, 1, 100, 250])
    def test_a_list_is_whole(self, bench: Bench, count: int) -> None:
        """A list yields every record once, from as many calls as it has pages."""
        added, id_key = bench.add_many(count), self.subject.vendor.id_key
        records = list(bench.session.records({}))
        assert sorted(str(record[id_key]) for record in records) == sorted(added)
        calls = bench.sent()
        assert {call.method for call in calls} == {"GET"}
        pages = self._pages(bench)
        assert (len(pages), sum(len(page.records) for page in pages)) == (len(calls), count)
        assert {page.pages for page in pages} <= {None, max(len(pages), 1), len(pages) if count else 0}
        assert len({page.pages for page in pages}) == 1

    def test_a_list_has_the_records(self, bench: Bench) -> None:
        """A record of a list shows each key that was asked for as the record does when it is read alone."""
        vendor, catalogue = self.subject.vendor, bench.catalogue
        bench.add_many(3)
        keys = sorted({field.target for field in catalogue.fields.values() if not field.partial})
        call = vendor.list_call({}, None, keys)
        page = vendor.parse_page(bench.session.fetch(call), None)
        assert len(page.records) == 3
        for record in page.records:
            alone = bench.session.read(str(record[vendor.id_key]), keys)
            for key in keys:
                listed = vendor.stored_value(key, record, catalogue)
                assert (key, listed) == (key, vendor.stored_value(key, alone, catalogue))
                assert len(listed) == 1

    def test_filters(self, bench: Bench) -> None:
        """The vendor's own filters are sent with every page, as they are."""
        bench.add_many(250)
        filters = {"mine": "a b&c=d"}
        list(bench.session.records(filters))
        assert {call.query.get("mine") for call in bench.sent()} == {"a b&c=d"}

    def test_another_body(self) -> None:
        """A body of another shape is a page without records, and the last one."""
        bodies: tuple[Json, ...] = (None, [], {}, "page", {"results": "none"}, 7, [[]], {"data": {"id": "x"}})
        for body in bodies:
            page = self.subject.vendor.parse_page(body, None)
            assert (list(page.records), page.cursor) == ([], None)

    def _pages(self, bench: Bench) -> list[RecordPage]:
        """Return the pages of the whole list."""
        vendor, cursor = self.subject.vendor, None
        pages: list[RecordPage] = []
        while not pages or cursor is not None:
            pages.append(vendor.parse_page(bench.session.fetch(vendor.list_call({}, cursor, ())), cursor))
            cursor = pages[-1].cursor
        return pages
