"""Take the manual's pictures from the browser's proof, so that they show a real Airflow.

Run it in the environment of the tests: `python tests/pictures/retake.py`. It takes some minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("overview", "plan", "approval")
MOST_BYTES = 150_000


def main():
    """Run the proof, and keep the pictures that the manual shows."""
    proof = HERE.parent / "system" / "test_ui.py"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-m", "long", str(proof)]
        subprocess.run(command, env={**os.environ, "CRM_PICTURES": folder}, cwd=HERE.parents[1], check=True)
        for name in NAMES:
            picture = Path(folder, f"{name}.png")
            size = picture.stat().st_size
            if size > MOST_BYTES:
                sys.exit(f"{name}.png has {size} bytes, more than the {MOST_BYTES} that a page can bear.")
            shutil.copy(picture, HERE)


if __name__ == "__main__":
    main()
