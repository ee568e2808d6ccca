"""Where container engines have images from."""

from __future__ import annotations

from runner.errors import EngineUnavailable, ImageError


class Registry:
    """`missing`: what it does not have, or does not give. `down`: it gives nothing, however often it is asked."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.down = False

    def give(self, image: str) -> None:
        """Raises ImageError, EngineUnavailable."""
        if self.down:
            message = f"cannot pull {image}: the registry does not answer"
            raise EngineUnavailable(message)
        if image in self.missing:
            message = f"cannot pull {image}: manifest unknown"
            raise ImageError(message)
