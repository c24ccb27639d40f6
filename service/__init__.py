"""The DuckDB-backed process: ingest, store, evaluation and HTTP."""
