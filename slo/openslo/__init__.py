"""OpenSLO documents: read with all their faults, references resolved, turned into objectives, written back."""
