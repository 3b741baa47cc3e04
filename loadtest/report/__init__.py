"""The report of a run: one HTML file that needs nothing else."""

from loadtest.report.page import render

__all__ = ["render"]
