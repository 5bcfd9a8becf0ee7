"""Check for pyarrow, which only Parquet files and Arrow tables need.

It is an extra because it is as large as all other dependencies together.
"""

from __future__ import annotations

from airflow_provider_crm.exceptions import ConfigurationError


def require_pyarrow(purpose: str) -> None:
    """Make sure that pyarrow can be imported.

    Args:
        purpose: The reason why it is needed, as the beginning of a sentence, such as "data is a Parquet file".

    Raises:
        ConfigurationError: Naming the extra that installs it.
    """
    try:
        import pyarrow.parquet  # type: ignore[import-untyped, unused-ignore]  # noqa: F401
    except ImportError as err:
        msg = f"{purpose}, and that needs pyarrow ({err}): pip install 'airflow-provider-crm[parquet]'."
        raise ConfigurationError(msg) from err
