"""Views for people: replicas in DuckDB, SQL, tables, exports."""
