"""Models behind an OpenAI-compatible server: the client, its replies, the cache of replies and the log of calls."""

from sotopia_env.agents.endpoint.client import Endpoint, EndpointError, Request

__all__ = ["Endpoint", "EndpointError", "Request"]
