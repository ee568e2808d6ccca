"""An EC2 instance as the agent's host: its metadata service, and its place in its Auto Scaling group."""
