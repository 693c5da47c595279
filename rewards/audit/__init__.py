"""Rewards held against the truth: audited turns, fidelity, attackers, exploitability."""

from sotopia_env.rewards.audit.collect import collect_audit

__all__ = ["collect_audit"]
