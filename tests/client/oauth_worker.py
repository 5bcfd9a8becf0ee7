"""A worker process of `test_oauth`: reads one record so many times, while its tokens end.

Run as a script; its argument is a JSON object with the database, the origin, the connection's extra and Airflow's key.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import sqlalchemy as sa
from cryptography.fernet import Fernet

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.oauth import StoredTokens
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials


class Cipher:
    """What the hook makes of Airflow's key."""

    def __init__(self, key):
        self._fernet = Fernet(key)

    def encrypt(self, text):
        """Encrypt."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, text):
        """Decrypt."""
        return self._fernet.decrypt(text).decode()


def main(job):
    """Read, and print what was read."""
    engine = Database(sa.create_engine(job["database"])).engine
    account = Account(VENDORS["close"], job["url"], Credentials(extra=job["extra"]), timeout=5.0)
    grant = account.vendor.authentication(account.credentials).grant
    source = StoredTokens(
        Database(engine), account=account, grant=grant, cipher=Cipher(job["key"]), clock=Clock(), hide=lambda _: None
    )
    with Session(replace(account, tokens=source)) as session:
        print(json.dumps([session.read(job["record_id"])["value"] for _ in range(job["times"])]))  # noqa: T201 - the result


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
