"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# Machines are shared: how long an example takes says nothing of the code.
settings.register_profile("default", deadline=None)
settings.load_profile("default")
