"""The agent's command line."""
