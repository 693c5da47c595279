"""What every family of divisions does alike: it watches the talk for an agreement."""

from __future__ import annotations
