"""Work that happens after the answer: a job table in the same database, enqueued in the caller's transaction."""
