"""Recipes: whole runs as YAML that can be copied and changed, with a dry run, and resumable by stage.

``schema`` checks the YAML, ``counts`` says what a run would take, ``run`` runs it; only the last needs torch.
"""
