"""One voice stream. Read endpoint.py, then session.py; what they call is a pure function or one driver."""
