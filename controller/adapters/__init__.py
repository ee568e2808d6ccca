"""Adapters of the controller: backends and fleets."""
