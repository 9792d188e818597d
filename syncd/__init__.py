"""Mirrors an OpenTrain inbox into a local SQLite database."""
