"""Playing many episodes: plans, lockstep, seeds, files, processes."""
