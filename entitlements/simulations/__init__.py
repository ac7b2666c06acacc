"""What a rule would do if it were in force: who gains, who loses, and what it costs, without anybody's name."""
