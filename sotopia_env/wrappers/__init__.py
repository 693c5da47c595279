"""Wrappers of the environment: interfaces, partners, the single-agent view, the AEC API."""

from sotopia_env.wrappers.base import ParallelWrapper

__all__ = ["ParallelWrapper"]
