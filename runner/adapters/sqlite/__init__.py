"""Queue and ledger in one SQLite file, shared by the processes of one machine.

database     one file: grouped writes, reads beside them, a wake-up for waiting receivers
queue        runner.ports.Queue
ledger       runner.ports.Ledger, what agents do
records      the controller's side of the ledger
"""
