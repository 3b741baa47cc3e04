"""`python -m ops doctor`: what is wrong with a deployment, why, and what to do."""
