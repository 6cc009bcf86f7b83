"""Signing in and out: the gate that pages and API calls of a page server share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from config.errors import LANGUAGES, JingkaError
from terminal.serving.locale import LANGUAGE_COOKIE
from terminal.serving.pages import Pages
from terminal.serving.people import People, Person, Role
from terminal.serving.problems import RoleMissing, SignInRequired, problem_of, status_of
from terminal.serving.sessions import SessionStore, elapsed_s

LANGUAGE_COOKIE_S = 365 * 24 * 3600
FORM_FIELDS_MAX = 64  # the largest form, a TCM bill with its proofs, has under thirty
SIGN_IN_PATH = "/sign-in"


class Gate:
    """Who may come in."""

    def __init__(self, people: People, sessions: SessionStore) -> None:
        self._people = people
        self._sessions = sessions

    async def enter(self, person: str, pin: str) -> tuple[Person, str]:
        """Check the PIN off the event loop and begin a session: who, and its token.

        Raises `PinWrong`, `PinLocked`, `PeopleMissing`, `PeopleInvalid`.
        """
        known = await asyncio.to_thread(self._people.check_pin, person, pin, elapsed_s())
        return known, self._sessions.begin(known)

    async def approve(self, person: str, pin: str, role: Role) -> Person:
        """A person's yes to what another does, by their PIN and without a session of their own.

        Raises what `enter` does, and `RoleMissing` when it is not theirs to say.
        """
        known = await asyncio.to_thread(self._people.check_pin, person, pin, elapsed_s())
        if known.role is not role:
            raise RoleMissing("approve", "role")
        return known

    def visitor(self, request: Request) -> Person | None:
        """Who is signed in, if anybody is; does not keep the session from ending."""
        return self._sessions.peek(self._token(request))

    def person(self, request: Request) -> Person:
        """Who is signed in and doing something now. Raises `SignInRequired`."""
        person = self._sessions.person(self._token(request))
        if person is None:
            raise SignInRequired("sign in", "session")
        return person

    def watcher(self, request: Request) -> Person:
        """Whose page is looking by itself (a poll, an event). Raises `SignInRequired`."""
        person = self.visitor(request)
        if person is None:
            raise SignInRequired("sign in", "session")
        return person

    def require(self, request: Request, *roles: Role) -> Person:
        """Who is signed in, in one of these roles. Raises `SignInRequired` or `RoleMissing`."""
        person = self.person(request)
        if person.role not in roles:
            raise RoleMissing("sign in", "role")
        return person

    def let_in(self, response: Response, token: str) -> None:
        """Hand the session to the browser."""
        self._sessions.hand_out(response, token)

    def leave(self, request: Request, response: Response) -> None:
        """End the session here and in the browser."""
        self._sessions.end(self._token(request))
        self._sessions.take_back(response)

    def _token(self, request: Request) -> str:
        return request.cookies.get(self._sessions.cookie, "")


def sign_in_routes(gate: Gate, pages: Pages, statuses: Mapping[type[JingkaError], int]) -> APIRouter:
    """`/sign-in`, `/sign-out` and `/language`, for people; not part of the API's schema."""
    router = APIRouter(include_in_schema=False)

    @router.get(SIGN_IN_PATH)
    async def show(request: Request) -> Response:
        if gate.visitor(request) is not None:
            return RedirectResponse(_own_path(request.query_params.get("next", "")), 303)
        follow = _own_path(request.query_params.get("next", ""))
        return pages.response(request, "sign-in.html", next=follow, notice=None, entered="")

    @router.post(SIGN_IN_PATH)
    async def enter(request: Request) -> Response:
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            person, pin = str(form.get("person", "")).strip().lower(), str(form.get("pin", ""))
            follow = _own_path(str(form.get("next", "")))
        try:
            _, token = await gate.enter(person, pin)
        except JingkaError as error:
            status = status_of(error, statuses)
            notice = problem_of(error, pages.language(request), status=status)
            page = pages.render(request, "sign-in.html", next=follow, notice=notice, entered=person)
            return HTMLResponse(page, status, headers=dict(notice.headers))
        response = RedirectResponse(follow, 303)
        gate.let_in(response, token)
        return response

    @router.post("/sign-out")
    async def leave(request: Request) -> Response:
        response = RedirectResponse(SIGN_IN_PATH, 303)
        gate.leave(request, response)
        return response

    @router.post("/language")
    async def switch(request: Request) -> Response:
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            language, back = str(form.get("language", "")), _own_path(str(form.get("back", "")))
        response = RedirectResponse(back, 303)
        if language in LANGUAGES:
            response.set_cookie(
                LANGUAGE_COOKIE, language, max_age=LANGUAGE_COOKIE_S, samesite="strict", httponly=True, path="/"
            )
        return response

    return router


def _own_path(target: str) -> str:
    """`target` when it is a path of ours, else the first page: a sign-in must not lead to a stranger's site."""
    parts = urlsplit(target)
    own = not parts.scheme and not parts.netloc and target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if own and target.isprintable() else "/"
