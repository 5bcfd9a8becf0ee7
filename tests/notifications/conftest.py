"""The fixtures that run an operator as a worker does."""

from __future__ import annotations

from tests.operators.conftest import deals, update

__all__ = ["deals", "update"]
