"""Secrets Manager and the SSM Parameter Store behind the `Aws` port, for what this project asks of them.

Emulated: values by ARN, by stage or version, as text or bytes, and the errors of what is not there.
"""

from __future__ import annotations

from typing import Any

from controller.simulation.services.service import Simulated, refused
from runner.aws import Reply


class SimulatedSecrets(Simulated):
    """`values` by ARN; behind a blank the stage or version, where one was asked for."""

    def __init__(self, values: dict[str, str | bytes]) -> None:
        super().__init__()
        self.values = values

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        assert service == {"get_parameter": "ssm", "get_secret_value": "secretsmanager"}[operation]
        self.service = service
        return await super().call(service, operation, **parameters)

    def _get_secret_value(self, SecretId: str, VersionStage: str = "", VersionId: str = "") -> dict[str, Any]:
        value = self.values.get(f"{SecretId} {VersionStage}{VersionId}".strip())
        if value is None:
            raise refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return {"SecretString": value} if isinstance(value, str) else {"SecretBinary": value}

    def _get_parameter(self, Name: str, WithDecryption: bool) -> dict[str, Any]:
        if Name not in self.values or not WithDecryption:
            raise refused("ParameterNotFound")
        return {"Parameter": {"Value": self.values[Name]}}
