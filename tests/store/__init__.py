"""The database of users and their history, on all three kinds of server."""
