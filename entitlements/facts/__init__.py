"""What registers state about persons and households, and since when we know it."""
