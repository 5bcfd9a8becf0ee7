"""Record the calls to Close, Raze and HubSpot again, because a change of what is sent is meant.

    python -m tests.vendors.wire.record

This writes the files in `recordings/`; `git diff` then shows what is sent otherwise than before.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

RECORDING = "CRM_TESTS_RECORD_CALLS"
"""Environment variable: with any value, the recordings are written instead of compared."""


def main() -> int:
    """Run every scenario, and write what it sent."""
    import pytest

    os.environ[RECORDING] = "yes"
    return pytest.main(["-q", str(Path(__file__).with_name("test_wire.py"))])


if __name__ == "__main__":
    sys.exit(main())
