"""The only code that speaks SQLite."""
