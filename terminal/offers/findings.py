"""What is wrong with a book, in words, with the place in it, its line, and the nearest thing that would be right."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.errors import Language, Words

FINDINGS_MAX = 100  # a book so wrong is mended from the top; more would only scroll away
NEAREST_CUTOFF = 0.5  # difflib ratio under which a suggestion is noise

Location = tuple[str | int, ...]
Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake (`error`: the book cannot be used) or doubt (`warning`). `line` is 1-based, None when not known.

    What to do about it is `nearest`, the word that was probably meant, or else `advice`.
    """

    severity: Severity
    location: Location
    problem: Words
    nearest: str | None = None
    line: int | None = None
    advice: Words | None = None

    @property
    def path(self) -> str:
        """The place as `offers[0].price.unit_fen`."""
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.location)
        return text.removeprefix(".") or "book"

    def text(self, language: Language) -> str:
        """The whole finding as one sentence."""
        chinese = language == "zh"
        place = self.path
        if self.line:
            place += f"（第 {self.line} 行）" if chinese else f" (line {self.line})"
        problem = self.problem.zh if chinese else self.problem.en
        said = f"{place}：{problem}" if chinese else f"{place}: {problem}"
        if self.nearest:
            return f"{said}，是不是 {self.nearest}？" if chinese else f"{said}; did you mean {self.nearest}?"
        if self.advice:
            return f"{said}；建议：{self.advice.zh}" if chinese else f"{said}; {self.advice.en}"
        return said


def error(location: Location, zh: str, en: str, suggestion: str | Words) -> Finding:
    """A mistake: the book cannot be used. `suggestion` is the word that was probably meant, or what to do."""
    return _finding_of("error", location, Words(zh, en), suggestion)


def warning(location: Location, zh: str, en: str, suggestion: Words) -> Finding:
    """A doubt: the book can be used, and a person should look at this and at what is suggested."""
    return _finding_of("warning", location, Words(zh, en), suggestion)


def _finding_of(severity: Severity, location: Location, problem: Words, suggestion: str | Words) -> Finding:
    if isinstance(suggestion, str):
        return Finding(severity, location, problem, suggestion)
    return Finding(severity, location, problem, advice=suggestion)


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word most like this one, None when none is near."""
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=NEAREST_CUTOFF)
    return near[0] if near else None


# What pydantic reports, in the words of the person who writes books. Places are pydantic's own context.
_PROBLEMS: Mapping[str, Words] = {
    "missing": Words("缺少这一项", "is missing"),
    "extra_forbidden": Words("没有这个键", "is no known key"),
    "int_type": Words("应为整数，不带引号和小数点", "must be a whole number, without quotes or a point"),
    "string_type": Words("应为文字，加引号", "must be text in quotes"),
    "bool_type": Words("应为 true 或 false", "must be true or false"),
    "date_type": Words("应为日期，如 2012-12-25", "must be a day such as 2012-12-25"),
    "date_parsing": Words("不是真实存在的日期", "is no day of the calendar"),
    "time_type": Words("应为时刻，如 08:30:00", "must be a time such as 08:30:00"),
    "time_parsing": Words("不是真实存在的时刻", "is no time of the day"),
    "greater_than": Words("应大于 {gt}", "must be more than {gt}"),
    "greater_than_equal": Words("不能小于 {ge}", "must be at least {ge}"),
    "less_than": Words("应小于 {lt}", "must be less than {lt}"),
    "less_than_equal": Words("不能大于 {le}", "must be at most {le}"),
    "too_short": Words("至少要有 {min_length} 项", "needs at least {min_length} entry"),
    "too_long": Words("最多 {max_length} 项", "takes at most {max_length} entries"),
    "string_too_long": Words("最多 {max_length} 个字", "takes at most {max_length} characters"),
    "string_pattern_mismatch": Words("写法不对，应符合 {pattern}", "is not written right; it must match {pattern}"),
    "enum": Words("只能是 {expected}", "must be {expected}"),
    "literal_error": Words("只能是 {expected}", "must be {expected}"),
    "union_tag_invalid": Words(
        "没有这种 kind：{tag}；只能是 {expected_tags}", "has no kind {tag}; it must be {expected_tags}"
    ),
    "union_tag_not_found": Words("缺少 kind", "lacks its kind"),
    "tuple_type": Words("应为列表 [ ]", "must be a list [ ]"),
    "model_type": Words("应为一组键值 { }", "must be a table { }"),
    "mapping_type": Words("应为一组键值 { }", "must be a table { }"),
    "dict_type": Words("应为一组键值 { }", "must be a table { }"),
    "zone_unknown": Words("没有这个时区；北京用 Asia/Shanghai", "is no known time zone; Beijing's is Asia/Shanghai"),
    "window_empty": Words("开始和结束是同一时刻，永远不开放", "ends when it starts: it would never be open"),
    "steps_unordered": Words("每一档的起点应高于前一档", "each step must begin above the one before it"),
    "since_length": Words("months 和 days 应写且只写一个", "needs either months or days, and not both"),
    "since_offer": Words("redeemed 要写 offer，其他不写", "names an offer with the event redeemed, and only then"),
    "json_invalid": Words("不是完整的 JSON：{error}", "is not valid JSON: {error}"),
}
_OTHER = Words("不合规定：{message}", "is not accepted: {message}")
_QUOTED = re.compile(r"'([^']+)'")


def findings_of(error: ValidationError, root: type[BaseModel]) -> tuple[Finding, ...]:
    """Pydantic's report on a `root` as findings; at most `FINDINGS_MAX`."""
    reports = error.errors(include_url=False)
    inner = {report["loc"][:depth] for report in reports for depth in range(len(report["loc"]))}
    # pydantic calls a list too short when its only entry has a mistake; the mistake itself is all there is to say
    real = [report for report in reports if report["type"] != "too_short" or report["loc"] not in inner]
    return tuple(_finding(report, root) for report in real[:FINDINGS_MAX])


def _finding(report: ErrorDetails, root: type[BaseModel]) -> Finding:
    location, known_keys = _walk(report["loc"], root)
    context = {**report.get("ctx", {}), "message": report["msg"]}
    template = _PROBLEMS.get(report["type"], _OTHER)
    problem = Words(template.text("zh", **context), template.text("en", **context))
    near = None
    if report["type"] == "extra_forbidden":
        near = nearest(str(location[-1]), known_keys)
    elif report["type"] in {"enum", "literal_error"} and isinstance(report["input"], str):
        near = nearest(report["input"], _QUOTED.findall(context["expected"]))
    elif report["type"] == "union_tag_invalid":
        near = nearest(context["tag"], _QUOTED.findall(context["expected_tags"]))
    return Finding("error", location, problem, near)


def _walk(steps: Sequence[str | int], root: type[BaseModel]) -> tuple[Location, frozenset[str]]:
    """The location without pydantic's inner steps (union tags, `[key]`), and the keys known at its last step."""
    here: Any = root
    keys: frozenset[str] = frozenset()
    location: list[str | int] = []
    for step in steps:
        here = _bare(here)
        if _is_union(here):  # this step is the tag that chose the member
            here = next((one for one in get_args(here) if _tag(one) == step), None)
            continue
        if step == "[key]":
            continue
        location.append(step)
        if isinstance(here, type) and issubclass(here, BaseModel):
            fields = {field.alias or name: field.annotation for name, field in here.model_fields.items()}
            keys, here = frozenset(fields), fields.get(str(step))
        else:
            arguments = get_args(here)
            here = (
                (arguments[1] if isinstance(step, str) and len(arguments) == 2 else arguments[0]) if arguments else None
            )
    return tuple(location), keys


def _bare(annotation: Any) -> Any:
    """The type itself, without `Annotated` and without `| None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if _is_union(annotation):
        members = [one for one in get_args(annotation) if one is not type(None)]
        return _bare(members[0]) if len(members) == 1 else annotation
    return annotation


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in {Union, types.UnionType}


def _tag(member: Any) -> str | None:
    kind = member.model_fields.get("kind") if isinstance(member, type) and issubclass(member, BaseModel) else None
    return str(get_args(kind.annotation)[0]) if kind else None


# Lines of a TOML file -----------------------------------------------------------------------------------------------

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")


def line_of(location: Location, toml: str) -> int:
    """The 1-based line of a location, or of the nearest thing around it that stands in the file; else the first.

    Reads headers and keys only, not TOML in full: good enough to send a person to the right line.
    """
    lines = toml.splitlines()
    best: tuple[int, int] | None = None  # steps matched, line index
    for index, header in _headers(lines):
        if location[: len(header)] == header and (best is None or len(header) >= best[0]):
            best = (len(header), index)
    matched, start = best if best else (0, -1)
    end = next((i for i in range(start + 1, len(lines)) if _HEADER.match(lines[i])), len(lines))
    found = _key_line(location[matched:], lines[start + 1 : end])
    if found is not None:
        return start + 2 + found
    return start + 1 if best else 1


def _headers(lines: Sequence[str]) -> list[tuple[int, Location]]:
    counts: dict[Location, int] = {}
    headers = []
    for index, line in enumerate(lines):
        match = _HEADER.match(line)
        if not match:
            continue
        location: Location = ()
        names = [name.strip().strip("\"'") for name in match.group(2).split(".")]
        for depth, name in enumerate(names):
            location = (*location, name)
            last = depth == len(names) - 1
            if last and match.group(1) == "[[":
                counts[location] = counts.get(location, 0) + 1
            if location in counts:
                location = (*location, counts[location] - 1)
        headers.append((index, location))
    return headers


def _key_line(steps: Location, lines: Sequence[str]) -> int | None:
    """The index of the line with the deepest of these keys that is there."""
    text = "\n".join(line.partition("#")[0] for line in lines)
    found: int | None = None
    for step in steps:
        start = found or 0
        after = _element(text, start, step) if isinstance(step, int) else _key(text, start, step)
        if after is not None:
            found = after
        elif isinstance(step, str):  # a list of plain values stands on its key's own line
            break
    return None if found is None else text.count("\n", 0, found)


def _key(text: str, start: int, key: str) -> int | None:
    """Where the first `key =` from `start` on ends."""
    match = re.compile(rf"(?:^|[\s{{,.])[\"']?{re.escape(key)}[\"']?\s*[.=]", re.MULTILINE).search(text, start)
    return match.end() if match else None


def _element(text: str, start: int, index: int) -> int | None:
    """Where the table `index` of the list that follows `start` opens."""
    depth = 0
    for position in range(start, len(text)):
        if text[position] == "{":
            if depth == 0 and index == 0:
                return position + 1
            index -= depth == 0
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth < 0:
                return None
    return None
