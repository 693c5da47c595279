"""Playing many episodes: plans, lockstep, files, processes."""
