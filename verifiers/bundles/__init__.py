"""What a scanner takes along to judge without a network: keys, status lists and the offers of its venue."""
