"""Check that the OAuth tokens in the ledger can be decrypted with Airflow's present Fernet keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.commands.checks.result import CheckResult, ok, problem
from airflow_provider_crm.database.schema import tokens
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.hooks.ledger import token_cipher

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_OLD_KEY = (
    "Add the former key to [core] fernet_key (AIRFLOW__CORE__FERNET_KEY), behind a comma; or authorize the OAuth "
    "application again, and put the new refresh token into the connection's extra."
)
_NO_KEY = "Set [core] fernet_key (AIRFLOW__CORE__FERNET_KEY), the same for all of Airflow."


def token_checks(connection: Connection | None, *, oauth: bool) -> Iterator[CheckResult]:
    """Decrypt the newest tokens of each OAuth application; an older chain of tokens was replaced.

    Args:
        connection: Reads the ledger; None if there is none that can be read.
        oauth: Whether a connection is checked that signs in by OAuth: then there has to be a key.
    """
    newest = {} if connection is None else _newest(connection)
    if not newest and not oauth:
        yield ok("fernet_key", "The ledger keeps no OAuth tokens, which would need Airflow's Fernet key.")
        return
    try:
        cipher = token_cipher("OAuth")
    except ConfigurationError as err:
        yield problem("fernet_key", str(err).partition(". Make")[0] + ".", _NO_KEY)
        return
    lost = []
    for owner, text in newest.items():
        try:
            cipher.decrypt(text)
        except ConfigurationError:
            lost.append(owner)
    if lost:
        sentence = f"The OAuth tokens of {', '.join(lost)} in the ledger were encrypted with another Fernet key."
        yield problem("fernet_key", sentence, _OLD_KEY)
    else:
        yield ok(
            "fernet_key", f"Airflow has a Fernet key, and it decrypts all OAuth tokens in the ledger ({len(newest)})."
        )


def _newest(connection: Connection) -> dict[str, str]:
    """Return the refresh token that was stored last, by vendor, host and OAuth client."""
    query = sa.select(tokens.c.name, tokens.c.refresh_token).where(tokens.c.refresh_token.is_not(None))
    found = connection.execute(query.order_by(tokens.c.refreshed_at))
    return {row.name.rpartition(":")[0]: row.refresh_token for row in found}
