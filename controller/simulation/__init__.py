"""The whole system in one process, in virtual time: real supervisor, agents and adapters over simulated services."""
