"""Policies: who acts for a seat."""

from sotopia_env.agents.functions import FunctionPolicy
from sotopia_env.agents.random_policy import RandomPolicy
from sotopia_env.agents.scripted.policy import MixedPolicy, ScriptedPolicy
from sotopia_env.agents.scripted.traits import CLONED, PRESETS, Traits

__all__ = ["CLONED", "PRESETS", "FunctionPolicy", "MixedPolicy", "RandomPolicy", "ScriptedPolicy", "Traits"]
