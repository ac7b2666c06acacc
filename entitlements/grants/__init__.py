"""What people hold: granted by decisions, ended with notice and grace, revoked for four reasons only."""
