"""Finding the one friend two people have in common: a family whose outcome follows from the text."""

from sotopia_env.families.mutual_friends.family import DIFFICULTIES, MutualFriends

__all__ = ["DIFFICULTIES", "MutualFriends"]
