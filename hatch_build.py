"""Build hook: a wheel carries the pretrained models, wherever the checkout has some.

An installed varscore finds them in ``varscore/_models``; an editable one reads ``models/`` itself.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BundledModels(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel" and version != "editable" and (Path(self.root) / "models").is_dir():
            build_data["force_include"]["models"] = "varscore/_models"
