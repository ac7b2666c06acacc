"""From entitlements to signed credentials, in the name of an authority."""
