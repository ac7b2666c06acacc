"""The credential issuer for the wallets of others: OpenID4VCI 1.0 as HAIP 1.0 profiles it, and its OAuth server."""
