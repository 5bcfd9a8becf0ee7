"""End a command with one sentence instead of a traceback, and know who runs it."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowException

from airflow_provider_crm.exceptions import CrmError


@contextmanager
def one_sentence() -> Iterator[None]:
    """Print an expected error as one sentence, and exit with code 1.

    Raises:
        SystemExit: With the message of an error of this package or of Airflow.
    """
    try:
        yield
    except (CrmError, AirflowException) as err:
        raise SystemExit(str(err)) from None


def user_name() -> str:
    """Return the user who runs the command, as far as the machine knows; in a container a user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
