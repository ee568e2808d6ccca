"""The agent: takes leases from a queue, runs their tasks on an engine, and writes what happened to the ledger."""
