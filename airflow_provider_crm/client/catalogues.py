"""Fetch the catalogues of one account: the fields, stages and people that it offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError, RejectedError
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
                self._fetched[paths] = self._marked(vendor.catalogue([self._fetch(call) for call in calls]))
            return self._fetched[paths]
        except RejectedError as err:
            msg = f"{vendor.display_name} at {self._account.origin} does not show the fields of the account: {err}"
            raise ConfigurationError(msg, vendor=vendor.name, status=err.status, code=err.code) from err

    def label_fields(self, err: CrmError) -> None:
        """Replace field ids in an error's message by the names that people use, as far as they are known."""
        for catalogue in self._fetched.values():
            err.args = (catalogue.with_labels(str(err)),)

    def _marked(self, catalogue: Catalogue) -> Catalogue:
        """Mark the fields whose values are hidden."""
        fields = with_hidden(catalogue.fields, self._account.hidden)
        self._redactor.hide(hidden_keys(fields))
        return replace(catalogue, fields=fields)
