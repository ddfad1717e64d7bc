"""The rule for files that are stored as they are."""

from __future__ import annotations

from typing import ClassVar

from .base import RuleOutput, UploadContext, UploadRule


class PlainRule(UploadRule):
    """Store every file unchanged."""

    name: ClassVar[str] = "none"
    reads_files: ClassVar[bool] = False

    def apply(self, context: UploadContext) -> RuleOutput:
        """Store the originals."""
        return RuleOutput(context.files)
