"""The trust list: which issuers' keys a scanner may believe, also without a network."""
