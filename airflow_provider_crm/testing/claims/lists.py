"""Claims about lists of records, and about records that are found by a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_crm.push.record_keys import RecordFinder
from airflow_provider_crm.testing.bench import leaves
from airflow_provider_crm.testing.claims.bench_fixture import Claims
from airflow_provider_crm.values.opportunity import Kind

if TYPE_CHECKING:
    from airflow_provider_crm.testing.bench import Bench
    from airflow_provider_crm.vendors.calls import RecordPage
    from airflow_provider_crm.vendors.records import Json


STRANGE = 'O\'Neil \\ 50 % "Ümläut"/2026'
"""A text that would end a literal, an address or a path if it was not quoted."""


class ListClaims(Claims):
    """Claims about lists of records, and about records that are found by a value."""

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

    def test_a_record_is_found_by_a_value(self, bench: Bench, field_name: str) -> None:
        """A text that one record has in a field leads to that record, and a text that none has to none."""
        field, example = bench.catalogue.fields[field_name], self.subject.values[field_name]
        is_text = field.kind is Kind.TEXT and not field.multiple and not field.partial
        if not is_text or example.value not in leaves(example.shown):
            pytest.skip(f"{field_name} holds no text as the row has it")
        text = STRANGE if field_name == "notes" else str(example.value)
        record_id, _ = bench.add_many(2)
        bench.write(record_id, {field_name: text})
        found = RecordFinder(bench.session, bench.catalogue, field, 4).find([text, "no such text"])
        assert found == {text: [record_id], "no such text": []}

    def test_every_record_of_a_value_is_found(self, bench: Bench) -> None:
        """A text that many records have leads to all of them."""
        field = bench.catalogue.fields.get("notes")
        if field is None:
            pytest.skip(f"{self.subject.vendor.display_name} has no notes")
        added = bench.add_many(250)
        (text,) = self.subject.vendor.stored_value(
            field.target, bench.session.read(added[0], (field.target,)), bench.catalogue
        )
        found = RecordFinder(bench.session, bench.catalogue, field, 4).find([str(text)])
        assert sorted(found[str(text)]) == sorted(added)

    def _pages(self, bench: Bench) -> list[RecordPage]:
        """Return the pages of the whole list."""
        vendor, cursor = self.subject.vendor, None
        pages: list[RecordPage] = []
        while not pages or cursor is not None:
            pages.append(vendor.parse_page(bench.session.fetch(vendor.list_call({}, cursor, ())), cursor))
            cursor = pages[-1].cursor
        return pages
