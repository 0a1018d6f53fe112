"""Recognises this project's own images, which can also run as processes."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"^(?:.*/)?byoc-classifier-(train|serve)(?:[:@].*)?$")


@dataclass(frozen=True)
class Images:
    """The images of this project, by the names that build.sh gives, and by the addresses in images.json after a push."""

    file: Path  # the path of images.json, which need not exist

    def program(self, image: str) -> str | None:
        """Return which of our two programs an image holds, or None for another image."""
        if match := NAME.match(image):
            return match[1]
        return next((program for program, names in self._pushed().items() if image in names), None)

    def refusal(self, image: str) -> str:
        return (
            f"the image {image} is not one of this project, and only those run as processes; start the emulator with "
            "--run docker, or name byoc-classifier-train, byoc-classifier-serve or an image of images.json"
        )

    def _pushed(self) -> dict[str, list[str | None]]:
        """Return the addresses and digests in images.json, by program."""
        try:
            content = json.loads(self.file.read_text())
        except (OSError, ValueError):
            return {}
        pushed = {program: content.get(program) for program in ("train", "serve")}
        return {program: [entry.get("uri"), entry.get("digest")] for program, entry in pushed.items() if entry}
