"""Containers on a Docker engine, over its HTTP API.

engine.py          the port: prepare, start, recover, sweep; site.py is what all its containers share
├── starter.py         from a spec to a running container with all that belongs to it
│   ├── spec.py            what the engine is asked for
│   ├── launch.py          create and start, once only, whatever the engine's replies get lost
│   └── executable.py      whether the program is there at all
├── container.py       one attempt from its start to its removal
│   ├── ending.py          what the engine says of a container that ended ⇒ Exit
│   ├── watch.py           who sent it a signal, and whether the engine itself is leaving
│   ├── output.py          its stdout and stderr
│   └── usage.py           its memory and CPU time; hierarchy.py reads control groups
├── recovery.py        what an earlier agent left: adopted, or removed
├── sandbox.py         network sandboxes prepared ahead; pause.py is what runs in them
├── images.py          pulled once, however many ask; credentials.py for the registry
├── removal.py         removed by force, again and again if need be
├── background.py      work beside its caller
└── api.py             the engine's verbs ─ client.py (HTTP) ─ address.py (where)
"""
