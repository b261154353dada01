"""Previews without engine, credentials or network."""
