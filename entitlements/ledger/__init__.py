"""Where money is: accounts with opaque owners, and entries whose postings sum to zero."""
