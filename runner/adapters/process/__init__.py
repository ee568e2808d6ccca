"""Adapter: process."""
