"""The role of a job, for its tasks: temporary credentials, handed to each through an endpoint on its host."""
