"""The mirror's public tables, kept up to date in a PostgreSQL schema."""
