"""`simulate`: what a job or a trace would cost, and how long it would take."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import click

from controller.cli.app import App, pass_app
from controller.cli.output import Format, duration, line, output_option, print_json, remark
from controller.cli.tables import Column, Table
from controller.draft import draft_from
from controller.simulation import forecast
from controller.simulation.experience import experience_of
from controller.simulation.forecast import Forecast
from controller.simulation.model import chart, swf
from controller.simulation.model.workload import Bag
from controller.simulation.prices import Prices, read_prices
from runner.errors import BadInput, Place
from runner.instances import KNOWN, InstanceType
from runner.model import Job
from runner.schema import duration as parse_of_duration
from runner.settings import BATCH, FLEET, ON_DEMAND, SPOT, Settings
from runner.wording import choices, printable, shown

DEFAULT_TYPE = "m6i.large"
MAXIMA = "10,50,100"
MARKETS = (SPOT, ON_DEMAND)
MOST_MACHINES = 5000
MANY_TASKS = 20_000
LASTS = parse_of_duration(0, 30 * 86_400)
TRACE = ".swf"


@click.command(name="simulate")
@click.argument("file", metavar="JOBFILE|TRACE", type=click.Path(path_type=Path))
@click.option(
    "--max", "maxima", default=MAXIMA, metavar="N,…", help=f"So many machines at most. Default: {MAXIMA}."
)
@click.option("--market", type=click.Choice(MARKETS), multiple=True, help="May be repeated. Default: both.")
@click.option(
    "--seconds", metavar="TIME", help="How long a task takes. Default: as in earlier jobs of that name."
)
@click.option(
    "--instance-type", metavar="TYPE", help="Machines of this type instead of the settings' environments."
)
@click.option(
    "--prices",
    type=click.Path(path_type=Path),
    help="What machines cost. Default: a file that comes with this.",
)
@click.option(
    "--chart", "chart_file", type=click.Path(path_type=Path), help="Draw the fleet over time, as SVG."
)
@output_option
@pass_app
def command(
    app: App,
    file: Path,
    maxima: str,
    market: tuple[str, ...],
    seconds: str | None,
    instance_type: str | None,
    prices: Path | None,
    chart_file: Path | None,
    output: Format,
) -> None:
    """Say what a job would cost and how long it would take, with so many machines at most, on spot or not.

    Nothing is submitted or launched: jobs arrive, machines boot, work, are reclaimed and leave in a model, in which the
    supervisor's own policy decides with the settings as they are. Only machines are priced, not requests or storage.

    JOBFILE is as for `submit`. TRACE is a log in the Standard Workload Format, .swf or .swf.gz.

    \b
    Examples:
      runner-controller simulate job.yaml --seconds 5m
      runner-controller simulate job.yaml --max 20,200 --market spot --chart fleet.svg
      runner-controller simulate week.swf.gz --instance-type c7i.4xlarge
    """
    counts = _counts(maxima)
    _check_chart(chart_file)
    settings = _with_fleet(app.settings(), instance_type)
    bags = _bags(app, settings, file, seconds)
    costs = read_prices(prices)
    played = forecast.forecasts(settings, bags, counts, market or MARKETS, costs)
    found = list(_told(played, len(counts) * len(market or MARKETS), sum(len(bag.durations) for bag in bags)))
    _print(found, output)
    _say_of_prices(costs)
    if chart_file is not None:
        chart_file.write_text(_drawn(file, found))
        remark(f"drawn in {chart_file}")


def _told(played: Iterable[Forecast], count: int, tasks: int) -> Iterator[Forecast]:
    """Large work takes minutes: each as it comes."""
    for number, each in enumerate(played, start=1):
        if tasks > MANY_TASKS:
            remark(f"{number} of {count}: {_title(each)}")
        yield each


def _title(each: Forecast) -> str:
    lasts = duration(round(each.metrics.makespan))
    return f"{each.market}, at most {each.maximum}: ${each.metrics.dollars:,.2f}, {lasts}"


def _with_fleet(given: Settings, instance_type: str | None) -> Settings:
    kind = _kind(instance_type or (DEFAULT_TYPE if given.fleet is None else None))
    if given.fleet is None and instance_type is None:
        remark(f"the settings have no fleet: machines of type {DEFAULT_TYPE} are taken (--instance-type)")
    if given.mode == BATCH:
        remark("AWS Batch decides by rules of its own: this is what a fleet of such machines would do")
        given = replace(given, mode=FLEET)
    return forecast.with_fleet(given, kind)


def _check_chart(file: Path | None) -> None:
    """Before anything is played, which may take long."""
    if file is None:
        return
    if file.suffix != ".svg":
        problem = f"a chart is an .svg file, not {shown(str(file))}"
        raise BadInput(problem, Place(key="--chart"))
    if (
        not file.parent.is_dir()
        or file.is_dir()
        or not os.access(file if file.exists() else file.parent, os.W_OK)
    ):
        problem = f"{shown(str(file))} cannot be written"
        raise BadInput(problem, Place(key="--chart"))


def _counts(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= MOST_MACHINES for part in parts):
        problem = f"numbers of machines from 1 to {MOST_MACHINES}, such as {MAXIMA}, not {shown(text)}"
        raise BadInput(problem, Place(key="--max"))
    return list(dict.fromkeys(map(int, parts)))


def _kind(name: str | None) -> InstanceType | None:
    if name is None:
        return None
    if name not in KNOWN:
        problem = f"unknown instance type {shown(name)}; {choices(name, KNOWN)}"
        raise BadInput(problem, Place(key="--instance-type"))
    return KNOWN[name]


def _bags(app: App, settings: Settings, file: Path, seconds: str | None) -> Sequence[Bag]:
    lines = _lines_of(file)
    if TRACE not in file.suffixes[-2:] and not swf.is_trace(lines):
        draft = draft_from(file, {})
        if draft.job.emr is not None:
            problem = "a cluster of Amazon EMR is not modelled: this is about a fleet's machines"
            raise BadInput(problem, draft.place("emr"))
        return [_job(app, draft.job, seconds)]
    bags = swf.bags(lines, file=str(file))
    if not bags:
        problem = "no job in it ever ran"
        raise BadInput(problem, Place(str(file)))
    tasks = sum(len(bag.durations) for bag in bags)
    remark(f"{len(bags):,} jobs of {tasks:,} tasks over {duration(bags[-1].arrival)}")
    assert settings.fleet is not None
    return [replace(bag, queue=next(iter(settings.fleet.queues))) for bag in bags]


def _lines_of(file: Path) -> list[str]:
    try:
        content = file.read_bytes()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise BadInput(problem, Place(str(file))) from None
    try:
        content = gzip.decompress(content) if file.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error):
        problem = "is damaged, or not compressed by gzip"
        raise BadInput(problem, Place(str(file))) from None
    return content.decode(errors="replace").splitlines()


def _job(app: App, job: Job, seconds: str | None) -> Bag:
    """Its tasks take as long as is said, or as earlier ones did; only then does the supervisor know it, too."""
    count, told = job.array.size, None
    if seconds is not None:
        durations = [_seconds(seconds)] * count
    else:
        experience = app.call(lambda parts: experience_of(parts.records, job.name))
        if experience is None:
            problem = f"no task of a job named {shown(job.name)} has ended here: say how long one takes"
            raise BadInput(problem, Place(key="--seconds"))
        durations, told = experience.like_it(count, Random(0)), experience.mean
        seen = f"{len(experience.seconds):,} task{'' if len(experience.seconds) == 1 else 's'} of {experience.job}"
        remark(f"about {duration(experience.mean)} a task, from {seen}")
    memory = job.limits.memory + job.sidecar_memory
    return Bag(job.name, 0.0, durations, job.limits.vcpus, memory, job.queue, told, job.max_parallel)


def _seconds(text: str) -> float:
    try:
        return LASTS(text)
    except BadInput as error:
        raise BadInput(error.problem, Place(key="--seconds")) from None


def _print(found: Sequence[Forecast], output: Format) -> None:
    if output is Format.JSON:
        print_json([_object(each) for each in found])
        return
    if output is Format.QUIET:
        for each in found:
            line(_id(each))
        return
    numbers = ("MAX", "COST", "MAKESPAN", "95% WAIT", "LAUNCHED", "MACHINE-HOURS", "$/HOUR EACH")
    table = Table(Column("MARKET"), *(Column(title, right=True) for title in numbers))
    for each in found:
        metrics = each.metrics
        table.add(
            each.market,
            each.maximum,
            f"${metrics.dollars:,.2f}",
            duration(round(metrics.makespan)),
            duration(round(metrics.p95_wait)),
            metrics.launched,
            f"{metrics.machine_hours:,.1f}",
            f"{each.price:.4f}",
        )
    table.end()


def _id(each: Forecast) -> str:
    return f"{each.market}/{each.maximum}"


def _object(each: Forecast) -> dict[str, object]:
    metrics = each.metrics
    return {
        "id": _id(each),
        "market": each.market,
        "maximum": each.maximum,
        "dollars": round(metrics.dollars, 4),
        "makespan": round(metrics.makespan, 1),
        "first_task": round(metrics.first_task, 1),
        "mean_wait": round(metrics.mean_wait, 1),
        "p95_wait": round(metrics.p95_wait, 1),
        "machines": metrics.launched,
        "machine_hours": round(metrics.machine_hours, 3),
        "price": round(each.price, 4),
        "runs": each.runs,
    }


def _say_of_prices(prices: Prices) -> None:
    share = f"on spot {100 * prices.spot_share:g} % of on demand where none is listed"
    remark(f"prices of {prices.region} as of {prices.date}, {share}; machines only, no requests, no storage")


def _drawn(file: Path, found: Sequence[Forecast]) -> str:
    panels = [chart.Panel(_title(each), each.samples) for each in found]
    return chart.draw(panels, f"{printable(file.name)}: the fleet over time")
