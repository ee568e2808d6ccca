"""An event loop whose time jumps: it never waits, it moves its clock to the next timer.

And whose code belongs to processes. A context variable names the process that a callback or task was made in, and so
whatever follows from it. A process can be killed, as by `kill -9`: nothing of it ever runs again, no `finally`, no
callback. It can be frozen, as by SIGSTOP: what was to run is kept, and runs in order once it is thawed.

Only for code that waits through the loop and uses no threads, no sockets, no signals. Runs of the same program are the
same to the last callback: timers of the same moment fire in the order they were set, and tasks hash by number, so that
sets of them do not depend on memory addresses.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
from asyncio.events import Handle, TimerHandle
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = 1_700_000_000.0

# Of the clock, in seconds: what rounding may cost must not keep a timer from firing at the time it was jumped to.
RESOLUTION = 1e-9

# Waits one after the other in the `finally` blocks of one task.
MOST_FINALLIES = 100

OUTSIDE: Context = copy_context()


class Process:
    """One process of the simulated installation. `skew`: seconds by which its wall clock is ahead."""

    def __init__(self, name: str, skew: float = 0.0) -> None:
        self.name = name
        self.skew = skew
        self.alive = True
        self.frozen = False
        self._parked: list[Handle] = []

    def __repr__(self) -> str:
        return f"Process({self.name!r})"

    def now(self) -> float:
        """Its wall clock."""
        return EPOCH + asyncio.get_running_loop().time() + self.skew

    def start(self, main: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run it as code of this process."""
        return self.context().run(asyncio.get_running_loop().create_task, main)

    def context(self) -> Context:
        context = copy_context()
        context.run(_PROCESS.set, self)
        return context

    def kill(self) -> None:
        """Nothing of it goes on from now on; if it is the process that runs now, nothing after its next wait."""
        if self.alive:
            self.alive = False
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualTimeLoop)
            tasks = asyncio.all_tasks()
            loop.remains += (task for task in tasks if isinstance(task, _Task) and task.process is self)
            self._parked.clear()

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        self.frozen = False
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.again(self._parked)
        self._parked = []

    def park(self, handle: Handle) -> None:
        self._parked.append(handle)


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


def current_process() -> Process | None:
    """Whose code is running; None: nobody's, as in services and machines."""
    return _PROCESS.get()


def outside(call: Callable[..., T], *args: Any) -> T:
    """Call it as nobody's code: what it starts goes on whatever becomes of the process that runs now."""
    return OUTSIDE.copy().run(call, *args)


class _Task(asyncio.Task[Any]):
    def __init__(self, coroutine: Any, *, loop: VirtualTimeLoop, **more: Any) -> None:
        self._number = next(loop.task_numbers)
        self.process = _PROCESS.get()
        super().__init__(coroutine, loop=loop, **more)

    def __hash__(self) -> int:
        return self._number


def _make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
    assert isinstance(loop, VirtualTimeLoop)
    return _Task(coroutine, loop=loop, **more)


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """Waits for nothing outside itself, so it needs no selector: `_run_once` is all that is replaced.

    `remains`: tasks of processes that were killed. They never end, and are kept: were they collected as garbage, their
    `finally` would run, and when depends on the collector.
    """

    def __init__(self) -> None:
        super().__init__()
        self._virtual = 0.0
        self._queue: deque[Handle] = deque()
        self._timers: list[tuple[float, int, TimerHandle]] = []
        self._set = 0
        self.task_numbers = count(1)
        self.remains: list[asyncio.Task[Any]] = []
        self.set_task_factory(_make_task)

    def time(self) -> float:
        return self._virtual

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]
        handle = Handle(callback, args, self, context)
        self._queue.append(handle)
        return handle

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]
        return self.call_soon(callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> TimerHandle:  # type: ignore[override]
        timer = TimerHandle(when, callback, args, self, context)
        self._set += 1
        heapq.heappush(self._timers, (when, self._set, timer))
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> TimerHandle:
        return self.call_at(self._virtual + delay, callback, *args, context=context)

    def jump(self, seconds: float) -> None:
        self._virtual += max(0.0, seconds)

    def again(self, handles: list[Handle]) -> None:
        """Run them before anything else that is to run."""
        self._queue.extendleft(reversed(handles))

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        """It is passed over when its time comes."""

    def _run_once(self) -> None:
        """What is ready now, but not what that makes ready; then it is the next turn."""
        queue, timers = self._queue, self._timers
        if not queue:
            self._jump()
        due = self._virtual + RESOLUTION
        while timers and timers[0][0] <= due:
            queue.append(heapq.heappop(timers)[2])
        for _ in range(len(queue)):
            handle = queue.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(_PROCESS)  # type: ignore[attr-defined]
            if process is None or (process.alive and not process.frozen):
                handle._run()
            elif process.alive:
                process.park(handle)

    def _jump(self) -> None:
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            message = "nothing will ever happen: every coroutine waits for another"
            raise RuntimeError(message)
        self.jump(timers[0][0] - self._virtual)


def now() -> float:
    """The wall clock that goes with the running loop, and never is wrong."""
    return EPOCH + asyncio.get_running_loop().time()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time; a day takes no longer than what happens in it. What still runs then is cancelled,
    and what belongs to killed or frozen processes is abandoned."""
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(_cancelled([task for task in asyncio.all_tasks(loop) if _goes_on(task)]))
        loop.run_until_complete(loop.shutdown_asyncgens())
        abandon(loop)


def abandon(loop: VirtualTimeLoop) -> None:
    """Close it, and end what still goes on without letting it do anything more."""
    loop.set_task_factory(_never)
    asyncio._set_running_loop(loop)  # what ends may try to begin something
    try:
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            _close(task.get_coro())
    finally:
        asyncio._set_running_loop(None)
        loop.close()


def _never(loop: asyncio.AbstractEventLoop, coroutine: Any, **_more: Any) -> asyncio.Future[Any]:
    coroutine.close()
    return loop.create_future()


def _close(coroutine: Any) -> None:
    """From within: one that is closed while its `finally` waits leaves that half done, to be complained of later."""
    for _ in range(MOST_FINALLIES):
        waits_for = getattr(coroutine, "cr_await", None)
        if inspect.iscoroutine(waits_for):
            _close(waits_for)
        try:
            coroutine.close()
        except BaseException:  # noqa: S112 - whatever it is, nobody is there any more to hear of it
            continue
        return


async def _cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _goes_on(task: asyncio.Task[Any]) -> bool:
    process = task.process if isinstance(task, _Task) else None
    return process is None or (process.alive and not process.frozen)
