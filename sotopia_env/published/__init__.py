"""Sotopia's data in and out: profiles as tasks, episodes, training pairs; and task files of the package's own."""

from typing import TYPE_CHECKING

from sotopia_env.names import exports

if TYPE_CHECKING:
    from sotopia_env.published.export import episode_log, full_record
    from sotopia_env.published.loading import SUBSETS, load_named, load_tasks, published_names
    from sotopia_env.published.pairs import Pair, load_pairs, save_pairs, training_pairs
    from sotopia_env.published.reading import load_published
    from sotopia_env.published.report import DataWarning
    from sotopia_env.published.writing import save_published, save_tasks
else:
    __getattr__ = exports(
        __name__,
        {
            "export": "episode_log full_record",
            "loading": "SUBSETS load_named load_tasks published_names",
            "pairs": "Pair load_pairs save_pairs training_pairs",
            "reading": "load_published",
            "report": "DataWarning",
            "writing": "save_published save_tasks",
        },
    )

__all__ = [
    "SUBSETS",
    "DataWarning",
    "Pair",
    "episode_log",
    "full_record",
    "load_named",
    "load_pairs",
    "load_published",
    "load_tasks",
    "published_names",
    "save_pairs",
    "save_published",
    "save_tasks",
    "training_pairs",
]


def __dir__() -> list[str]:
    return __all__
