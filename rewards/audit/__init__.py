"""Rewards held against the truth: audited turns, fidelity, attackers, exploitability."""

from sotopia_env.rewards.audit.collect import collect_audit
from sotopia_env.rewards.audit.storage import load_audit, save_audit

__all__ = ["collect_audit", "load_audit", "save_audit"]
