"""All SQL: the databases, the tables, one file per noun."""
