"""The card in the wallets of Apple and Google: off by default, each holder's own choice, without a word on why."""
