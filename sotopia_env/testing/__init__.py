"""Conformance checks for parts of one's own: policies, rewards, families, judges."""

from sotopia_env.testing.detection import KINDS, check
from sotopia_env.testing.families import check_family
from sotopia_env.testing.judges import check_judge
from sotopia_env.testing.policies import check_policy
from sotopia_env.testing.reports import ConformanceError, Finding, Report, Violation
from sotopia_env.testing.rewards import check_reward

__all__ = [
    "KINDS",
    "ConformanceError",
    "Finding",
    "Report",
    "Violation",
    "check",
    "check_family",
    "check_judge",
    "check_policy",
    "check_reward",
]
