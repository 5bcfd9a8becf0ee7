"""Salesforce's limit: the calls of the whole org in the last day."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.sandbox.rate_limit import Limiter, Rule
from airflow_provider_crm.sandbox.salesforce.problems import refuse

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_crm.sandbox.salesforce.switches import SalesforceSwitches

DAY_USED_UP = "TotalRequests Limit exceeded."
TOO_MANY_AT_ONCE = "ConcurrentPerOrgLongTxn Limit exceeded."
_COUNTER = "org"


class SalesforceLimits:
    """The counter of every authenticated call."""

    def __init__(self) -> None:
        self._limiter = Limiter()

    def take(self, now: datetime, switches: SalesforceSwitches) -> dict[str, str]:
        """Count a call, and return the header that names the calls of the last day.

        Raises:
            RefusalError: 403, the limit is used up, and so is what may exceed it; nothing is counted.
        """
        left = self._limiter.take([(_rule(switches), _COUNTER)], now.timestamp())
        headers = self._headers(now, switches)
        if not left.allowed:
            refusal = refuse(HTTPStatus.FORBIDDEN, "REQUEST_LIMIT_EXCEEDED", DAY_USED_UP)
            refusal.headers = headers
            raise refusal
        return headers

    def used(self, now: datetime, switches: SalesforceSwitches) -> int:
        """Return the calls of the last day."""
        left = self._limiter.look([(_rule(switches), _COUNTER)], now.timestamp())[0]
        return left.limit - left.remaining

    def _headers(self, now: datetime, switches: SalesforceSwitches) -> dict[str, str]:
        limit = switches.salesforce_daily_limit
        if not switches.salesforce_limit_headers or limit is None:
            return {}
        text = f"api-usage={self.used(now, switches)}/{limit}"
        if switches.salesforce_app_limit_headers:
            text += "; per-app-api-usage=17/250(appName=sandbox)"
        return {"sforce-limit-info": text}


def _rule(switches: SalesforceSwitches) -> Rule:
    limit = switches.salesforce_daily_limit
    most = None if limit is None else limit + switches.salesforce_daily_excess
    return Rule(limit=most, window=switches.salesforce_day_window, kind="sliding")
