"""Drawing pages: Jinja templates of a room over the shared ones, with the words, money and assets they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from config.errors import Language
from terminal.serving.assets import Assets
from terminal.serving.locale import Catalogue, cookie_language
from terminal.serving.people import Person, Role
from terminal.serving.problems import Problem, SignInRequired

if TYPE_CHECKING:
    from jinja2 import Environment

SERVING_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class NavLink:
    """One entry of the top bar: a path, the catalogue key of its name, and the roles that see it."""

    path: str
    key: str
    roles: tuple[Role, ...]


class Pages:
    """Renders templates. `directories` come first, the shared templates last, so a room may replace one of them."""

    def __init__(
        self,
        *directories: Path,
        catalogue: Catalogue,
        assets: Assets,
        nav: Sequence[NavLink],
        visitor: Callable[[Request], Person | None],
        default_language: Language,
        data_words: Callable[[Language], Mapping[str, object]] = lambda _: {},
    ) -> None:
        """`data_words`: what a room's templates may call for words that come from its data, in the page's language."""
        self._directories = (*directories, SERVING_TEMPLATES)
        self._catalogue = catalogue
        self._assets = assets
        self._nav = tuple(nav)
        self._default_language = default_language
        self._visitor = visitor
        self._data_words = data_words

    def open_to(self, person: Person) -> Callable[[str], bool]:
        """Whether a page is one that `person` may see, by the nearest entry of the top bar above it."""

        def may(path: str) -> bool:
            plain = path.partition("?")[0]
            above = [link for link in self._nav if plain == link.path or plain.startswith(f"{link.path}/")]
            return any(person.role in link.roles for link in above)

        return may

    def language(self, request: Request) -> Language:
        """The page's language: the switch, else the default. Not the browser's: the counter chooses."""
        return cookie_language(request.headers) or self._default_language

    def render(self, request: Request, template: str, **context: object) -> str:
        """The template as text, with `t`, `money`, `language`, `person`, `nav`, `path`, `asset` and the room's
        `data_words` beside `context`.
        """
        words = self._catalogue.locale(self.language(request))
        person = self._visitor(request)
        return self._environment.get_template(template).render(
            words=words,
            t=words.t,
            money=words.money,
            language=words.language,
            person=person,
            nav=[link for link in self._nav if person is not None and person.role in link.roles],
            path=request.url.path,
            here=_here(request),
            asset=self._assets.url,
            **self._data_words(words.language),
            **context,
        )

    def response(self, request: Request, template: str, **context: object) -> HTMLResponse:
        """The template as a response."""
        return HTMLResponse(self.render(request, template, **context))

    def problem(self, request: Request, problem: Problem) -> Response:
        """A problem for a person: the sign-in page when that is missing, a notice in htmx, else a page of its own."""
        htmx = "hx-request" in request.headers
        if problem.code == SignInRequired.code:
            if htmx:
                return Response(status_code=problem.status, headers={"HX-Redirect": "/sign-in"})
            return RedirectResponse(f"/sign-in?next={request.url.path}", 303)
        page = self.render(request, "notice.html" if htmx else "problem.html", problem=problem)
        # Into the page's own place for notices, so that what the person was typing stays.
        place = {"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"} if htmx else {}
        return HTMLResponse(page, problem.status, headers={**problem.headers, **place})

    def warm(self) -> None:
        """Compile every template now, so that the day's first card waits for none. About 100 ms, so off the loop."""
        for name in self._environment.list_templates(extensions=["html"]):
            self._environment.get_template(name)

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # the first page needs it, the start does not

        return Environment(
            loader=FileSystemLoader(self._directories),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )


def _here(request: Request) -> str:
    """The page's own address, for the language switch to come back to."""
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
