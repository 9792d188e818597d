"""What an operator asks the daemon."""
