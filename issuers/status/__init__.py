"""Status lists: one public, signed file says of many credentials which are still good, and of none whose it is."""
