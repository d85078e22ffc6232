"""Where conversations are kept: memory, SQLite, PostgreSQL, Redis."""
