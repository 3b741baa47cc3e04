"""Users and the history of what was recognized: tables, a spool for times without a database, and their queries."""
