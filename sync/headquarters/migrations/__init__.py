"""The steps from any earlier schema of headquarters' database to the one in `tables.py`."""
