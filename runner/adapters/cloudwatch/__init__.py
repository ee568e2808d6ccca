"""Live output of running tasks in CloudWatch Logs.

Needs, of an agent: logs:CreateLogStream and logs:PutLogEvents on the log group; of who follows: logs:FilterLogEvents.
"""
