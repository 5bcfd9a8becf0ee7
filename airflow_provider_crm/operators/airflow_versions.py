"""What differs between the versions of Airflow that the package supports; the only module that knows."""

from __future__ import annotations

from typing import Any

from airflow.sdk.observability import stats as _stats

stats: Any = getattr(_stats, "Stats", _stats)
"""Counts, gauges and timings: functions of a module, but of a class in Airflow 3.2."""
