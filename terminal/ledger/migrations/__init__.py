"""Schema migrations of the ledger, run by `terminal.ledger.database` when a file is behind."""
