"""Containers on one node: Docker Engine, Compose files, pulls, probes and cgroups."""
