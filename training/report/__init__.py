"""The report of a run: ``report.json`` for programs and ``report.html`` to read."""

from sotopia_env.training.report.report import checks, strongest, versions, write_report

__all__ = ["write_report", "checks", "strongest", "versions"]
