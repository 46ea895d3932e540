"""The storage shell: the DuckDB store and the measures read from it."""
