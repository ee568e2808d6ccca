"""One task per destination: how late will a flight arrive that left this late, this far, at this hour?

Least squares by the normal equations on four days out of five; the score is R² on the days held out. Nothing
but the standard library. `python model.py CLEAN_DIRECTORY OUTPUT_DIRECTORY`; the destination is this task's
line.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

Row = tuple[list[float], float]

FEATURES = ("one", "departure_delay", "distance", "hour")
HELD_OUT_EVERY = 5  # days
ENOUGH = 50  # flights: with fewer a score says nothing


def read(clean: Path, destination: str) -> tuple[list[Row], list[Row]]:
    """Rows to fit and rows held out."""
    fitted: list[Row] = []
    held_out: list[Row] = []
    for path in sorted(clean.glob(f"[0-1][0-9]-{destination}.csv")):
        with path.open(newline="") as file:
            for day, departure, arrival, _carrier, distance, hour in csv.reader(file):
                row = ([1.0, float(departure), float(distance) / 1000, float(hour)], float(arrival))
                (fitted if int(day) % HELD_OUT_EVERY else held_out).append(row)
    return fitted, held_out


def fit(rows: Sequence[Row]) -> list[float]:
    """Coefficients, one per feature."""
    size = len(FEATURES)
    normal = [[sum(x[i] * x[j] for x, _ in rows) for j in range(size)] for i in range(size)]
    right = [sum(x[i] * y for x, y in rows) for i in range(size)]
    return solve(normal, right)


def solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """By elimination. A column that adds nothing (one airport, so one distance) gets the coefficient 0."""
    size = len(right)
    table = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    solution = [0.0] * size
    used: dict[int, int] = {}
    for column in range(size):
        free = [row for row in range(size) if row not in used.values()]
        pivot = max(free, key=lambda row: abs(table[row][column]))
        if abs(table[pivot][column]) < 1e-6 * max(1.0, matrix[column][column]):
            continue
        used[column] = pivot
        for row in range(size):
            if row != pivot:
                factor = table[row][column] / table[pivot][column]
                table[row] = [a - factor * b for a, b in zip(table[row], table[pivot], strict=True)]
    for column, row in used.items():
        solution[column] = table[row][size] / table[row][column]
    return solution


def predict(coefficients: Sequence[float], x: Sequence[float]) -> float:
    return sum(c * value for c, value in zip(coefficients, x, strict=True))


def r_squared(coefficients: Sequence[float], rows: Sequence[Row]) -> float:
    mean = sum(y for _, y in rows) / len(rows)
    missed = sum((y - predict(coefficients, x)) ** 2 for x, y in rows)
    spread = sum((y - mean) ** 2 for _, y in rows)
    return 1 - missed / spread


def main(clean: Path, output: Path) -> None:
    destination = os.environ["RUNNER_ITEM"]
    fitted, held_out = read(clean, destination)
    result: dict[str, object] = {"destination": destination, "flights": len(fitted) + len(held_out)}
    if min(len(fitted), len(held_out)) >= ENOUGH:
        coefficients = fit(fitted)
        result["r2"] = round(r_squared(coefficients, held_out), 4)
        result["coefficients"] = dict(zip(FEATURES, (round(c, 4) for c in coefficients), strict=True))
        result["minutes_off"] = round(
            sum(abs(y - predict(coefficients, x)) for x, y in held_out) / len(held_out), 2
        )
    write(output / f"{destination}.json", result)
    print(json.dumps(result))
    tell({key: value for key, value in result.items() if key in ("flights", "r2")})


def write(path: Path, result: dict[str, object]) -> None:
    """Whole or not at all: a task may be killed at any moment and run again."""
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(result, indent=2) + "\n")
    temporary.replace(path)


def tell(metadata: dict[str, object]) -> None:
    """Shown live by `runner-controller tasks`."""
    if name := os.environ.get("RUNNER_METADATA"):
        Path(name).write_text("".join(f"{key}={value}\n" for key, value in metadata.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
