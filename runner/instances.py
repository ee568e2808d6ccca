"""Common EC2 instance types: vCPUs, memory and list price.

Prices are dollars an hour, on demand, Linux, us-east-1, as AWS's price list had them on `PRICED_ON`. They serve the
ceiling and the estimates, not the bill. What is not here, or costs otherwise elsewhere, is given in the settings
(`fleet.instance_types`).

Within a family price and memory go with the vCPUs, so one line says all of it; bare-metal sizes are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

PRICED_ON = "2026-07-20"
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class InstanceType:
    """`memory` in bytes, as advertised: the system sees less. `price` in dollars an hour, None if not known."""

    name: str
    vcpus: int
    memory: int
    price: float | None = None
    arm: bool = False


_FIFTH = (2, 4, 8, 16, 32, 48, 64, 96)
_INTEL_C5 = (2, 4, 8, 16, 36, 48, 72, 96)
_INTEL_6 = (*_FIFTH, 128)
_INTEL_7 = (*_FIFTH, 192)
_INTEL_8 = (*_FIFTH, 128, 192, 384)
_AMD_6 = (*_FIFTH, 128, 192)
_AMD_7 = (1, *_AMD_6)
_ARM = (1, 2, 4, 8, 16, 32, 48, 64)
_EIGHTH = (1, *_INTEL_7)


@dataclass(frozen=True, slots=True)
class _Family:
    """`memory` in GiB and `price` in dollars an hour, both for one vCPU."""

    name: str
    memory: int
    price: float
    vcpus: Sequence[int]
    arm: bool = False


_FAMILIES = (
    _Family("c5", 2, 0.0425, _INTEL_C5),
    _Family("c5a", 2, 0.0385, _FIFTH),
    _Family("c5d", 2, 0.048, _INTEL_C5),
    _Family("c6a", 2, 0.03825, _AMD_6),
    _Family("c6g", 2, 0.034, _ARM, arm=True),
    _Family("c6gd", 2, 0.0384, _ARM, arm=True),
    _Family("c6i", 2, 0.0425, _INTEL_6),
    _Family("c6id", 2, 0.0504, _INTEL_6),
    _Family("c6in", 2, 0.0567, _INTEL_6),
    _Family("c7a", 2, 0.05132, _AMD_7),
    _Family("c7g", 2, 0.03625, _ARM, arm=True),
    _Family("c7i", 2, 0.044625, _INTEL_7),
    _Family("c8a", 2, 0.053885, _EIGHTH),
    _Family("c8g", 2, 0.03988, _EIGHTH, arm=True),
    _Family("c8i", 2, 0.046855, _INTEL_8),
    _Family("m5", 4, 0.048, _FIFTH),
    _Family("m5a", 4, 0.043, _FIFTH),
    _Family("m5d", 4, 0.0565, _FIFTH),
    _Family("m5n", 4, 0.0595, _FIFTH),
    _Family("m6a", 4, 0.0432, _AMD_6),
    _Family("m6g", 4, 0.0385, _ARM, arm=True),
    _Family("m6gd", 4, 0.0452, _ARM, arm=True),
    _Family("m6i", 4, 0.048, _INTEL_6),
    _Family("m6id", 4, 0.059325, _INTEL_6),
    _Family("m7a", 4, 0.05796, _AMD_7),
    _Family("m7g", 4, 0.0408, _ARM, arm=True),
    _Family("m7i", 4, 0.0504, _INTEL_7),
    _Family("m8a", 4, 0.06086, _EIGHTH),
    _Family("m8g", 4, 0.04488, _EIGHTH, arm=True),
    _Family("m8i", 4, 0.05292, _INTEL_8),
    _Family("r5", 8, 0.063, _FIFTH),
    _Family("r5a", 8, 0.0565, _FIFTH),
    _Family("r5d", 8, 0.072, _FIFTH),
    _Family("r5n", 8, 0.0745, _FIFTH),
    _Family("r6a", 8, 0.0567, _AMD_6),
    _Family("r6g", 8, 0.0504, _ARM, arm=True),
    _Family("r6i", 8, 0.063, _INTEL_6),
    _Family("r6id", 8, 0.0756, _INTEL_6),
    _Family("r7a", 8, 0.076075, _AMD_7),
    _Family("r7g", 8, 0.05355, _ARM, arm=True),
    _Family("r7i", 8, 0.06615, _INTEL_7),
    _Family("r8a", 8, 0.07988, _EIGHTH),
    _Family("r8g", 8, 0.05891, _EIGHTH, arm=True),
    _Family("r8i", 8, 0.06946, _INTEL_8),
    _Family("x2gd", 16, 0.0835, _ARM, arm=True),
)

# Burstable types differ in memory, and cost by it. Sustained work costs extra CPU credits that are not in the price.
_BURSTABLE = {"t3": 0.0104, "t3a": 0.0094, "t4g": 0.0084}  # for one GiB
_BURSTABLE_SIZES = {
    "nano": (2, 0.5),
    "micro": (2, 1),
    "small": (2, 2),
    "medium": (2, 4),
    "large": (2, 8),
    "xlarge": (4, 16),
    "2xlarge": (8, 32),
}


def _sized() -> Iterator[InstanceType]:
    for family in _FAMILIES:
        for vcpus in family.vcpus:
            name = f"{family.name}.{_size(vcpus)}"
            price = round(vcpus * family.price, 6)
            yield InstanceType(name, vcpus, vcpus * family.memory * GIB, price, family.arm)


def _size(vcpus: int) -> str:
    small = {1: "medium", 2: "large", 4: "xlarge"}
    return small.get(vcpus) or f"{vcpus // 4}xlarge"


def _burstable() -> Iterator[InstanceType]:
    for family, price in _BURSTABLE.items():
        for size, (vcpus, memory) in _BURSTABLE_SIZES.items():
            name = f"{family}.{size}"
            yield InstanceType(name, vcpus, int(memory * GIB), round(memory * price, 6), family == "t4g")


KNOWN: Mapping[str, InstanceType] = {kind.name: kind for kind in (*_sized(), *_burstable())}
