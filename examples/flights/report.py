"""One task: gathers the scores of all destinations into one table, best first.

`python report.py MODELS_DIRECTORY DATA_DIRECTORY OUTPUT.tsv`
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path


def main(models: Path, data: Path, output: Path) -> None:
    with (data / "airports.csv").open(newline="", encoding="utf-8") as file:
        names = {row["faa"]: row["name"] for row in csv.DictReader(file)}
    scores = [json.loads(path.read_text()) for path in sorted(models.glob("*.json"))]
    scored = sorted((s for s in scores if "r2" in s), key=lambda s: -s["r2"])
    lines = ["destination\tflights\tr2\tminutes_off\tairport"]
    for score in scored:
        code, flights = score["destination"], score["flights"]
        lines.append(
            f"{code}\t{flights}\t{score['r2']:.3f}\t{score['minutes_off']:.1f}\t{names.get(code, '')}"
        )
    temporary = output.with_suffix(".part")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(output)
    print(f"{len(scored)} destinations scored, {len(scores) - len(scored)} with too few flights")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
