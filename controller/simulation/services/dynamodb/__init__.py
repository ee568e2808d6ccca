"""DynamoDB in memory, written from the service's documentation.

Emulated: items with their sizes and limits; condition, update, key condition and filter expressions; consistent and
eventually consistent reads; pages; transactions and their tokens; batches of PartiQL's inserts and updates; time to
live; capacity units; the service's errors; the date of replies; and, where `Behaviour` asks for it, late reads, batches
read in part, conflicts of transactions, and throttling of busy partitions.

Not emulated: indexes, streams, backups, projections, the rest of PartiQL, other batches of writes, transactions of
reads, permissions, tables that take time to come and go.

What the documentation leaves open is decided so: a transaction that is cancelled has consumed its write units; a page
ends before the item that would make it larger than 1 MB; what is read late has one age for each item or collection.
"""

from controller.simulation.services.dynamodb.core import Behaviour
from controller.simulation.services.dynamodb.service import DynamoDb

__all__ = ["Behaviour", "DynamoDb"]
