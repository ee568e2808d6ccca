"""The ledger in one DynamoDB table: keys `pk` and `sk` (strings), attribute `expires` for its time to live.

table        the calls, repeated where that makes sense
keys         where everything stands
standing     a job as a whole, and what may happen to it
tasks        a task's item: its latest attempt
sums         what each process counted of a job's tasks; nobody writes to a common counter
ledger       runner.ports.Ledger, what agents do
records      the controller's side of the ledger

Every write that may be repeated carries a mark, `SOURCE.CALL`, by which whoever made it knows it again after its reply
was lost, and by which a recount knows in whose sums it belongs.
"""
