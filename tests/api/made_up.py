"""Requests made up from an API's own schema, as Schemathesis makes them, and looked at by its checks."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
STREAMS = {"/api/v1/events"}  # answers without end: tested where they are
REQUEST_S_MAX = 30.0

Prepare = Callable[[Any], None]


def operations(schema: dict[str, Any]) -> Iterator[Any]:
    """Every call that the schema describes, but the streams."""
    for found in schemathesis.openapi.from_dict(schema).get_all_operations():
        operation = found.ok()
        if operation.path not in STREAMS:
            yield operation


def named(operation: Any) -> str:
    return f"{operation.method.upper()} {operation.path}"


FAULTS = (Failure, FailureGroup, requests.RequestException)  # what a check, or no answer, says


def ask(operation: Any, url: str, session: requests.Session, examples: int, prepare: Prepare = lambda _: None) -> None:
    """Make up `examples` good requests and as many bad ones; every answer must be one that the schema describes."""
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tool's own, about schemas it finds too narrow to break
            strategy = operation.as_strategy(generation_mode=mode)

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def one(case: Any) -> None:
            prepare(case)
            answer = case.call(base_url=url, session=session, timeout=REQUEST_S_MAX)
            case.validate_response(answer, checks=CHECKS)

        with contextlib.suppress(Unsatisfiable):  # nothing to ask wrongly of a call that takes nothing
            one()


def told(fault: BaseException) -> str:
    """Everything that a fault says."""
    inner = getattr(fault, "exceptions", ())
    return " | ".join([str(fault), *(told(each) for each in inner)])
