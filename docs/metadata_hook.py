"""Fill in what the metadata of the package takes from the repository's public address: links, and the README's text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

sys.path.insert(0, str(Path(__file__).parent))

from addresses import long_description, project_urls, public_address


class AddressHook(MetadataHookInterface):
    """Sets `urls` and `readme`; Hatchling runs it for each wheel and sdist, and for a wheel from an sdist."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add both to the metadata of the project."""
        root = Path(self.root)
        address = public_address(root)
        readme = (root / "README.md").read_text(encoding="utf-8")
        metadata["urls"] = project_urls(address)
        metadata["readme"] = {"content-type": "text/markdown", "text": long_description(readme, address)}
