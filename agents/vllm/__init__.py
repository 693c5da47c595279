"""vLLM as what samples turns: a server, or an engine in this process."""
