"""The vendor's rate limits, and how workers share them."""
