"""CloudBase Run through its APIs: deploy, status, logs, rollback, environment."""
