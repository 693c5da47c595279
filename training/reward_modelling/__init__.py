"""Training a reward model: settings, labels, rows, reports."""
