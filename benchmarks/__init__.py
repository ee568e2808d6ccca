"""How fast it is, beside what people use today: `python -m benchmarks [NAME …] [--quick]`.

harness        interleaved rounds, medians, ratios, result files
installation   an installation of ours with a warm agent, to be timed
containers     containers a second, from the queue to the record
tasks          tasks a second on the process engine
submission     what submitting and reading cost, by the size of the array
agent          what the agent itself costs, and where one task's time goes
fleet          tasks a second in mode fleet, queue and records in emulated AWS
tables         result files → the tables in docs/benchmarks.md
"""
