"""Signed statements of an entitlement, in the forms that wallets and paper carry."""
