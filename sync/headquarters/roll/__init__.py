"""The roll of members as headquarters keeps it."""
