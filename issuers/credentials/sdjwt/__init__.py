"""SD-JWT VC (RFC 9901, `dc+sd-jwt`): credentials for the wallets of others; a library without tables or routes."""
