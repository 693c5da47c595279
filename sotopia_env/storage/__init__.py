"""Episodes and token traces on disk."""

from sotopia_env.storage.episodes import EpisodeWriter, load_episodes, save_episodes

__all__ = ["EpisodeWriter", "load_episodes", "save_episodes"]
