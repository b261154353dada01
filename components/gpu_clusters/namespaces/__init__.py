"""Tenants: isolated namespaces in which LLM workloads run."""
