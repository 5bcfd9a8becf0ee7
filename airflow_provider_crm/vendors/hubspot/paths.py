"""Build the paths of HubSpot's API, all of one dated version."""

VERSION = "2026-03"
"""HubSpot supports a dated version for 18 months, and publishes one in each March and September."""

DEALS = f"/crm/objects/{VERSION}/deals"
DEAL = f"{DEALS}/{{}}"
BATCH_UPDATE = f"{DEALS}/batch/update"
SEARCH = f"{DEALS}/search"
BATCH_READ = f"{DEALS}/batch/read"
PROPERTIES = f"/crm/properties/{VERSION}/deals"
PIPELINES = f"/crm/pipelines/{VERSION}/deals"
OWNERS = f"/crm/owners/{VERSION}"
ACCOUNT = f"/account-info/{VERSION}/details"
# The token endpoint has no dated version in HubSpot's guide.
TOKENS = "/oauth/v1/token"
