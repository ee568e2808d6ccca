"""Containers on a Docker engine, over its HTTP API.

engine.py      the port: prepare, start, recover, sweep
├── launch.py      create and start, once only, whatever the engine's replies get lost
├── container.py   one attempt from its start to its removal
│   ├── ending.py      what the engine says of a container that ended ⇒ Exit
│   ├── output.py      its stdout and stderr
│   └── usage.py       its memory and CPU time
├── sandbox.py     network sandboxes prepared ahead; pause.py is what runs in them
├── images.py      pulled once, however many ask; credentials.py for the registry
├── removal.py     removed by force, again and again if need be
└── api.py         the engine's verbs ─ client.py (HTTP) ─ address.py (where)
"""
