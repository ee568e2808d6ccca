"""A light model of a fleet, to measure scaling policies with: tasks and machines are numbers in a heap of events.

Nothing here runs an agent or calls a service: what the whole system does in virtual time is a neighbour's to show
(`controller.simulation`). The scaling policy, though, is the real one (`product`), fed with what the supervisor sees.
"""
