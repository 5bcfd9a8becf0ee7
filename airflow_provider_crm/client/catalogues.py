"""Fetch the catalogues of one account: the fields, stages and people that it offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError, RejectedError, TransientError
from airflow_provider_crm.values.hidden_values import hidden_keys, with_hidden

if TYPE_CHECKING:
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.client.redaction import Redactor
    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Json


class Catalogues:
    """The catalogues of one account, each fetched once.

    Args:
        account: The account.
        fetch: Sends a reading call, and returns its JSON body.
        redactor: Learns which fields are hidden.
    """

    def __init__(self, account: Account, fetch: Callable[[Call], Json], redactor: Redactor) -> None:
        self._account = account
        self._fetch = fetch
        self._redactor = redactor
        self._fetched: dict[tuple[str, ...], Catalogue] = {}

    def get(self, names: tuple[str, ...]) -> Catalogue:
        """Return what the account offers, as far as these field names need it.

        Raises:
            ConfigurationError: The vendor refuses to answer.
        """
        vendor = self._account.vendor
        calls = vendor.catalogue_calls(names)
        paths = tuple(call.path for call in calls)
        try:
            if paths not in self._fetched:
                answers = [self._answer(call) for call in calls]
                self._fetched[paths] = self._marked(vendor.catalogue(answers, self._account.settings))
            return self._fetched[paths]
        except RejectedError as err:
            msg = f"{vendor.display_name} at {self._account.origin} does not show the fields of the account: {err}"
            raise ConfigurationError(msg, vendor=vendor.name, status=err.status, code=err.code) from err

    def label_fields(self, err: CrmError) -> None:
        """Replace field ids in an error's message by the names that people use, as far as they are known."""
        for catalogue in self._fetched.values():
            err.args = (catalogue.with_labels(str(err)),)

    def _answer(self, call: Call) -> Json:
        """Return the answer to a call, or those to the calls for all of its pages.

        Raises:
            TransientError: A page leads back to an earlier one.
            CrmError: The vendor refuses a call, or does not answer.
        """
        if call.next_page is None:
            return self._fetch(call)
        pages: list[Json] = []
        asked: list[Call] = []
        following: Call | None = call
        while following is not None:
            if following in asked:
                vendor = self._account.vendor
                msg = f"{vendor.display_name}'s list at {call.path} does not end: page {len(asked)} is not the last."
                raise TransientError(msg, vendor=vendor.name, code="NO_PROGRESS")
            asked.append(following)
            pages.append(self._fetch(following))
            following = call.next_page(pages[-1])
        return pages

    def _marked(self, catalogue: Catalogue) -> Catalogue:
        """Mark the fields whose values are hidden."""
        fields = with_hidden(catalogue.fields, self._account.hidden)
        self._redactor.hide(hidden_keys(fields))
        return replace(catalogue, fields=fields)
