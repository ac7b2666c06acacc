"""What a person carries: devices, codes, cards, the inbox, paper."""
