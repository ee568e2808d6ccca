"""The only place in this package that talks to SQLite, Docker, the operating system or AWS."""
