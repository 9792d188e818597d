"""Reports: what others' tools read instead of the database."""
