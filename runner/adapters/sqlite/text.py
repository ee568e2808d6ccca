"""Text for columns: SQLite takes UTF-8 only."""


def storable(text: str) -> str:
    """`text` with what has no UTF-8 (stray bytes of a command line or a log) escaped, instead of refused."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
