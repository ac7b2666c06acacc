"""OpenID4VP 1.0: asking anyone's wallet for a credential, and judging what comes."""
