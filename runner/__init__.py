"""What a task is, and how one machine runs it.

A newcomer's tour: `model` (the nouns), `ports` (what the agent calls), `agent/execution` (one lease, from
begin to outcome). Nothing here imports `controller`.
"""
