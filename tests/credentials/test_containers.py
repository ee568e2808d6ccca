"""A real container asks for its credentials, at an address of its host's as on an instance.

Emulated: the token service; and in place of 169.254.170.2, which this machine has not, the address of its bridge.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from runner.adapters.credentials.roles import TOKEN, URI, TaskRoles
from tests.credentials.test_roles import TokenService, a_job, an_attempt
from tests.engines.helpers import within
from tests.engines.rig_docker import DockerRig
from tests.engines.rigs import Bench

pytestmark = pytest.mark.docker

ASK = f'wget -q -O - --header "Authorization: ${TOKEN}" "${URI}"'


async def test_a_container_gets_its_own_credentials_and_without_its_token_none(tmp_path: Path) -> None:
    sts = TokenService()
    rig = DockerRig(tmp_path)
    host = f"roles-{secrets.token_hex(4)}"
    try:
        engine = await rig.docker(host)
        bridge = await (await engine.connected()).api.client.call("GET", "networks/bridge")
        roles = TaskRoles(sts, tmp_path / "credentials", sts.now, bridge["IPAM"]["Config"][0]["Gateway"])
        try:
            given = dict(await roles.grant(a_job(), an_attempt()))
            bench = Bench(rig, host, engine)
            container, output = await bench.start(bench.script(ASK, env=given))
            assert (await within(container, 20)).exit_code == 0
            assert json.loads(output.data)["AccessKeyId"] == "key1"
            container, output = await bench.start(bench.script(ASK, env={**given, TOKEN: "x"}))
            assert (await within(container, 20)).exit_code != 0
            assert "key" not in output.data.decode()
        finally:
            await roles.close()
    finally:
        await rig.close()
