"""Where a card is shown: partners, venues, offers, scanners, checks, redemptions."""
