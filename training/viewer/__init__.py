"""The viewer: one page of many episodes."""

from sotopia_env.training.viewer.page import viewer_page, write_viewer

__all__ = ["viewer_page", "write_viewer"]
