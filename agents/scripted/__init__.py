"""Scripted policies: what they hear, what they want, what they say."""

from sotopia_env.agents.scripted.policy import ChangingPolicy, MixedPolicy, ScriptedPolicy

__all__ = ["ChangingPolicy", "MixedPolicy", "ScriptedPolicy"]
