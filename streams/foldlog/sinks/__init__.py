"""Views and logs in other stores: PostgreSQL, Redis, Parquet."""
