"""The command `midwatch`."""
