"""The PostgreSQL side: the only opener of database connections."""
