"""Upload rules: what a raw folder is, how it is stored, and what of it goes into the database."""

from .base import PutFile, RuleOutput, UploadContext, UploadRule, find_rule, rule_names

__all__ = ["PutFile", "RuleOutput", "UploadContext", "UploadRule", "find_rule", "rule_names"]
