"""The rule language: text becomes a typed tree once, and whatever judges a person reads only the tree."""

from .interpreter import changes_on, evaluate, holds_until, minimal_reasons, trace, turning_days
from .messages import Mismatch, RuleError
from .syntax import parse
from .tree import Kind, Node, Speakable, Tree, Type, Vocabulary, canonical_json, check, show
from .values import PRECISE, Fault, Known, Result, Stated, Subject, Unknown, Value

__all__ = [
    "PRECISE",
    "Fault",
    "Kind",
    "Known",
    "Mismatch",
    "Node",
    "Result",
    "RuleError",
    "Speakable",
    "Stated",
    "Subject",
    "Tree",
    "Type",
    "Unknown",
    "Value",
    "Vocabulary",
    "canonical_json",
    "changes_on",
    "check",
    "evaluate",
    "holds_until",
    "minimal_reasons",
    "parse",
    "show",
    "trace",
    "turning_days",
]
