"""The queue on Amazon SQS: one standard queue per channel, and one for dead letters.

queue       `SqsQueue`, the port's verbs
receiving   looks and long polls, and what they brought beyond what was asked for
inbox       one channel's messages between arrival and receive, and its pace
messages    what the service sends ⇄ leases
holds       until when messages are hidden, and which are done with
visibility  the 12 hours that a message may be hidden in total
linger      deletes and releases wait for company, as a request costs the same for ten
batches     requests of ten, of which single entries may fail
service     calls by a queue's name, and clear words where there is none
quarantine  messages of which nothing can be made
depth       how deep the queues are
letters     the dead-letter queue, seen by the controller
"""
