"""Templates as text that people can read: YAML, scripts in it line by line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # as yaml has it
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def rendered(template: Mapping[str, Any]) -> str:
    """The same text for the same template."""
    return yaml.dump(template, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
