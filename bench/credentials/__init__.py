"""Credentials for the wallets of others: what issuing and verifying cost, as a library and over HTTP."""
