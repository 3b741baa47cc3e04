"""Clients for a running gateway: they speak to it as a phone does and measure what comes back."""
