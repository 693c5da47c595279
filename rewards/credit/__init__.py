"""Credit of single turns: continuations, Monte-Carlo and Shapley values, progress of a potential."""
