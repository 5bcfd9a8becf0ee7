"""Reads many opportunities: page by page where that takes fewer calls than one by one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError, RejectedError

if TYPE_CHECKING:
    from airflow_provider_crm.session import Session
    from airflow_provider_crm.vendors import Record

log = logging.getLogger(__name__)
_NOT_FOUND = 404


class RecordReader:
    """The records of one account, as far as some keys are concerned.

    Args:
        session: Where from.
        keys: The vendor's keys that are asked about; of a listed record only those are kept.
        concurrency: Records read at once, at most.
    """

    def __init__(self, session: Session, keys: Collection[str], concurrency: int) -> None:
        self._session = session
        self._vendor = session.account.vendor
        self._keys = frozenset(keys)
        self._kept = self._keys | {key.rpartition(".")[0] for key in keys} | {"id"}
        self._concurrency = concurrency
        self._listed: dict[str, Record] = {}

    def prepare(self, record_ids: Collection[str]) -> None:
        """Read the list of all opportunities if what is left of it after its first page is shorter than the rows.

        The vendor tells the number of pages on the first one. What the list lacks is read one by one later, so it does
        not matter that records can move between pages while they are read.
        """
        page, more = 0, len(record_ids) > 1
        while more:
            try:
                body = self._session.fetch(self._vendor.list_call({}, page))
            except RejectedError as err:  # such as a limit of how far a list may be paged
                log.info("The list ended at page %d, the rest is read one by one: %s", page + 1, err)
                return
            found, more = self._vendor.listed(body)
            self._keep(found, record_ids)
            page, pages = page + 1, self._vendor.pages(body)
            left = len(record_ids) - len(self._listed)
            more = more and left > 0 and pages is not None and pages - page < left

    def get(self, record_ids: Iterable[str]) -> dict[str, Record | RejectedError | None]:
        """Each record, None if there is none, or why the vendor does not show it.

        Raises:
            ConfigurationError: The key may not read.
            TransientError: A record could not be read now.
        """
        wanted = list(dict.fromkeys(record_ids))
        unread = [record_id for record_id in wanted if record_id not in self._listed]
        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="crm-read") as pool:
            read = dict(zip(unread, pool.map(self._read, unread), strict=True))
        return {record_id: self._listed.pop(record_id, None) or read.get(record_id) for record_id in wanted}

    def _keep(self, found: Iterable[Record], record_ids: Collection[str]) -> None:
        for record in found:
            record_id = str(record.get("id"))
            if record_id in record_ids and all(self._vendor.shown(key, record) for key in self._keys):
                self._listed[record_id] = {name: value for name, value in record.items() if name in self._kept}

    def _read(self, record_id: str) -> Record | RejectedError | None:
        try:
            return self._session.read(record_id)
        except RejectedError as err:
            return None if err.status == _NOT_FOUND else err
        except ConfigurationError as err:
            msg = f"A plan compares with what the CRM holds, and the record {record_id!r} cannot be read: {err}"
            raise ConfigurationError(msg, vendor=err.vendor, status=err.status, code=err.code) from err
