"""`doctor`: everything that a fleet needs, looked at from here, without changing anything."""

from __future__ import annotations

from collections.abc import Mapping

from controller.deployment import batch_checks, emr_checks, limit_checks, resource_checks, rights_checks
from controller.deployment.findings import Findings
from controller.deployment.names import fleet_stack
from controller.deployment.policies import Policies
from controller.deployment.site import Site
from controller.deployment.stacks import Stack, Stacks
from runner.aws import Aws, AwsError, Reply, date_of
from runner.ports import Clock
from runner.settings import FleetSettings, Settings

# AWS refuses requests that are five minutes off; what is half as far will soon be.
MOST_SKEW = 150.0

SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
# The code for a signature of another time is the one for a wrong secret, too.
OF_ANOTHER_TIME = ("Signature expired", "Signature not yet current")
SET_CLOCK = "set the clock: `timedatectl set-ntp true`"
CREDENTIALS = (
    "check AWS_PROFILE, AWS_ACCESS_KEY_ID and what else gives credentials: `aws sts get-caller-identity`"
)


async def examine(
    aws: Aws,
    settings: Settings,
    fleet: FleetSettings,
    findings: Findings,
    now: Clock,
    environ: Mapping[str, str],
) -> None:
    """All of it. Without credentials that work there is nothing else to be seen."""
    _check_region(fleet, findings, environ)
    caller = await _caller(aws, findings, now)
    if caller is None:
        return
    account, arn = str(caller["Account"]), str(caller["Arn"])
    await resource_checks.check_stacks(aws, fleet, findings)
    await resource_checks.check_table(aws, fleet, findings)
    await resource_checks.check_bucket(aws, fleet, account, findings)
    await resource_checks.check_log_groups(aws, fleet, settings.batch, findings)
    await resource_checks.check_queues(aws, settings, fleet, findings)
    await resource_checks.check_groups(aws, settings, fleet, findings)
    await _check_backends(aws, settings, fleet, arn, findings)
    site = Site(account, arn.split(":")[1], "", (), {}, "")
    policies = Policies.of(settings, fleet, site)
    await rights_checks.check_rights(aws, arn, policies, await _stack(aws, fleet), findings)
    await limit_checks.check_limits(aws, settings, fleet, findings)


async def examine_backends(aws: Aws, settings: Settings, findings: Findings, now: Clock) -> None:
    """What single jobs of one machine may run on. All of it is the user's own."""
    caller = await _caller(aws, findings, now)
    if caller is not None:
        await _check_backends(aws, settings, None, str(caller["Arn"]), findings)


async def _check_backends(
    aws: Aws, settings: Settings, fleet: FleetSettings | None, caller: str, findings: Findings
) -> None:
    if settings.batch is not None:
        await batch_checks.check_batch(aws, settings.batch.in_account_of(caller), fleet, findings)
    if settings.emr is not None:
        await emr_checks.check_emr(aws, settings.emr, findings)
    await batch_checks.check_linked_roles(aws, settings, findings)


def _check_region(fleet: FleetSettings, findings: Findings, environ: Mapping[str, str]) -> None:
    other = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if other and other != fleet.region:
        findings.unknown(
            "region",
            f"the fleet is in {fleet.region}, your shell says {other}",
            "this program goes by fleet.region; other tools may look elsewhere",
        )
    else:
        findings.ok("region", fleet.region)


async def _caller(aws: Aws, findings: Findings, now: Clock) -> Reply | None:
    try:
        caller = await aws.call("sts", "get_caller_identity")
    except AwsError as error:
        skewed = error.code in SKEWED or any(words in str(error) for words in OF_ANOTHER_TIME)
        step = SET_CLOCK if skewed else CREDENTIALS
        findings.problem("credentials", f"do not work: {error}", step)
        return None
    findings.ok("credentials", str(caller["Arn"]))
    _check_clock(caller, findings, now())
    return caller


def _check_clock(reply: Reply, findings: Findings, now: float) -> None:
    said = date_of(reply)
    if said is None:
        findings.unknown("clock", "AWS does not say what time it is")
    elif abs(skew := now - said) > MOST_SKEW:
        findings.problem("clock", f"is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}", SET_CLOCK)
    else:
        findings.ok("clock")


async def _stack(aws: Aws, fleet: FleetSettings) -> Stack | None:
    try:
        return await Stacks(aws, fleet.name, lambda _: None).find(fleet_stack(fleet))
    except AwsError:
        return None  # was told already
