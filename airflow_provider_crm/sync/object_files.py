"""Open files that a task reads or writes, on any object store."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from airflow.sdk import ObjectStoragePath

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.report.rejects_file import rejects_file

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow_provider_crm.report.rejects_file import WriteReject


def object_path(path: str) -> ObjectStoragePath:
    """Return a path on any object store.

    Raises:
        ConfigurationError: If no filesystem is known for its scheme.
    """
    try:
        return ObjectStoragePath(path)
    except ValueError as err:
        msg = f"The path {path!r} cannot be opened: {err}."
        raise ConfigurationError(msg) from err


def open_rejects(rejects_path: str | None, *, resumed: bool) -> AbstractContextManager[WriteReject | None]:
    """Open the rejects file for writing, and make its folder if necessary; without a path, the context is None.

    Args:
        rejects_path: The path of the file.
        resumed: Whether to keep the rows from before a deferral.

    Raises:
        ConfigurationError: If the file cannot be written.
    """
    if rejects_path is None:
        return nullcontext()
    path = object_path(rejects_path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        msg = f"rejects_path {rejects_path!r} cannot be written: {err}."
        raise ConfigurationError(msg) from err
    return rejects_file(path, resumed=resumed)
