"""The schema's numbered SQL files, `NNNN_name.sql`."""
