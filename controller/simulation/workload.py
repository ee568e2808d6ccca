"""What containers do: how long they run, how they end, what they write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from runner.errors import EngineError
from runner.ports import ContainerSpec


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One container's. `seconds` after its start it ends by itself. `on_term`: how it exits when told to stop, None: it
    goes on until it is killed. `lingers`: seconds after its end for which its output is still on its way. `error`: it
    cannot even be started."""

    seconds: float = 1.0
    exit_code: int = 0
    output: bytes = b"working\n"
    metadata: bytes = b""
    on_term: int | None = 143
    lingers: float = 0.0
    out_of_memory: bool = False
    error: EngineError | None = None


Behave = Callable[[ContainerSpec], Behaviour]


def steady(seconds: float = 10.0, **more: object) -> Behave:
    """Every container does the same."""
    behaviour = Behaviour(seconds, **more)  # type: ignore[arg-type]
    return lambda _spec: behaviour


def varied(seed: str, shortest: float, longest: float, failing: float = 0.0) -> Behave:
    """Durations between the two, evenly in their logarithm; a share of the attempts fails. What an attempt does depends
    on nothing but `seed`, its task and its number."""

    def behave(spec: ContainerSpec) -> Behaviour:
        random = Random(f"{seed}/{spec.name}")
        seconds = shortest * (longest / shortest) ** random.random()
        failed = random.random() < failing
        return Behaviour(seconds, exit_code=1 if failed else 0, output=b"%s\n" % spec.name.encode())

    return behave
