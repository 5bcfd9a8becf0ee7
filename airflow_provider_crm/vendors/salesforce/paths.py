"""The paths of the calls; one version of the API is pinned."""

from __future__ import annotations

VERSION = "v62.0"
DATA = f"/services/data/{VERSION}"
TOKENS = "/services/oauth2/token"
OBJECT = "Opportunity"
RECORD = f"{DATA}/sobjects/{OBJECT}/{{}}"
DESCRIBE = f"{DATA}/sobjects/{OBJECT}/describe"
QUERY = f"{DATA}/query"
COMPOSITE = f"{DATA}/composite"
COLLECTION = f"{DATA}/composite/sobjects"
COLLECTION_READ = f"{COLLECTION}/{OBJECT}"
