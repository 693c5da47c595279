"""Worlds measured: the gates that check what their couplings do, and the published table of scripted policies."""
