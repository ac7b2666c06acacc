"""What a venue gives for which tariff, since when, until when and how often."""
