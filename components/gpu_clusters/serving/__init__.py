"""LLM services: a model behind an OpenAI-compatible endpoint, in a tenant's namespace."""
