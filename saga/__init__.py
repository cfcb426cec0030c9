"""The deterministic core: specs, ledger, engine, budgets and errors. No I/O lives here."""
