"""The controller's role may do what the backend asks for."""

from __future__ import annotations

from controller.deployment.emr_policies import emr_controller
from runner.emr import Emr
from tests.emr.stage import SETTINGS, Stage, scene


def test_every_call_is_allowed_by_the_controllers_role() -> None:
    allowed = {
        action for each in emr_controller(SETTINGS, "aws", "123456789012") for action in each["Action"]
    }

    async def play(stage: Stage) -> None:
        theirs = stage.emr.add()
        await stage.submit("a")
        await stage.finish("a")
        await stage.submit("b")
        await stage.submit("c", emr=Emr(cluster=theirs.id))
        await stage.steps(60)
        await stage.cancel("b")
        await stage.cancel("c")
        await stage.finish("b")
        await stage.finish("c")
        called = {operation for operation, _ in stage.emr.calls}
        assert {"run_job_flow", "terminate_job_flows", "add_job_flow_steps", "cancel_steps"} <= called
        names = {"".join(part.capitalize() for part in each.split("_")) for each in called}
        assert {f"elasticmapreduce:{each}" for each in names} <= allowed

    scene(play)
