"""The claims of `VendorContract`, by what they are about."""
