"""An Auto Scaling group and its instances, as the service sees them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

NO_CAPACITY = (
    "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available that matches "
    "your request. Launching EC2 instance failed."
)


@dataclass
class Member:
    id: str
    state: str = "Pending"
    protected: bool = True
    healthy: bool = True
    heartbeats: int = 0
    held_until: float = 0.0
    ends_by: float = 0.0
    shown: str = ""
    shown_until: float = 0.0


@dataclass
class Group:
    name: str
    desired: int = 0
    minimum: int = 0
    maximum: int = 10
    boot: float = 60.0
    lag: float = 0.0  # seconds until what was asked for shows
    hook: bool = True
    heartbeat: int = 300
    starved: str = ""  # why launches fail
    relaunch: float = math.inf  # seconds until one that failed is tried again
    pool: int | None = None  # how many instances there are to be had for it at a time; None: any number
    members: dict[str, Member] = field(default_factory=dict)
    activities: list[dict[str, Any]] = field(default_factory=list)
    rebalancing: int = 0  # instances launched for balance, in whose stead others will go
    settles_at: float = math.inf  # when it tries again what did not work

    @property
    def staying(self) -> Sequence[Member]:
        return [each for each in self.members.values() if not each.state.startswith("Terminat")]

    @property
    def wanted(self) -> int:
        return self.desired + self.rebalancing

    @property
    def problem(self) -> str:
        """Why it cannot launch another; an empty string: it can."""
        if not self.starved and self.pool is not None and len(self.members) >= self.pool:
            return NO_CAPACITY
        return self.starved


def described(member: Member) -> dict[str, Any]:
    late = asyncio.get_running_loop().time() < member.shown_until
    return {
        "InstanceId": member.id,
        "LifecycleState": member.shown if late else member.state,
        "HealthStatus": "Healthy" if member.healthy else "Unhealthy",
        "ProtectedFromScaleIn": member.protected,
    }
