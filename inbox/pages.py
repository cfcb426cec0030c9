"""The pages of the inbox, and the forms on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from temporalio.client import Client

from ..client.search import SearchAttributesMissing
from .answers import Said, answer
from .forgery import form_token, read_form
from .inbox_config import InboxConfig, LocalSignIn
from .page_renderer import PageRenderer, keep
from .person import SignedIn
from .question_view import children_that_ask, questions_of
from .sign_in import USER, check_password, person_of
from .task_reader import SeenTask, read_task
from .waiting_tasks import MOST_FOUND, FoundBoard, WaitingTasks

_LIST: Final = "list"
_SEE_OTHER: Final = 303


class Pages:
    """What the inbox answers to each request."""

    def __init__(self, client: Client, config: InboxConfig, renderer: PageRenderer) -> None:
        """Prepares for requests.

        Args:
            client: A connected client.
            config: How the inbox is served.
            renderer: Renders the pages.
        """
        self._client = client
        self._config = config
        self._renderer = renderer
        self._waiting = WaitingTasks(client)

    # --- what waits

    async def waiting(self, request: Request) -> Response:
        """Shows what waits, the tasks that began first at the top."""
        person = person_of(request, self._config)
        if person is None:
            return _to_sign_in(request)
        token = form_token(request, person, self._config)
        values: dict[str, Any] = {"problem": "", "total": 0, "cards": [], "next": None}
        values["start"] = _start(request)
        try:
            found = await self._waiting.asking(values["start"])
        except SearchAttributesMissing as missing:
            values["problem"] = f"{missing} A task can be opened by its id meanwhile."
        else:
            cards = [_card(place, board, token) for place, board in enumerate(found.boards)]
            values |= {"total": found.total, "cards": cards, "next": found.next}
        values["is_cut"] = values["total"] >= MOST_FOUND
        return self._renderer.page(request, "waiting.html", person=person, live=True, **values)

    async def find(self, request: Request) -> Response:
        """Goes to the page of a task that somebody has typed in."""
        if person_of(request, self._config) is None:
            return _to_sign_in(request)
        id = request.query_params.get("id", "").strip()
        return RedirectResponse(f"/tasks/{quote(id, safe='')}" if id else "/", _SEE_OTHER)

    # --- one task

    async def task(self, request: Request) -> Response:
        """Shows one task: what it asks, and its board."""
        person = person_of(request, self._config)
        if person is None:
            return _to_sign_in(request)
        seen = await read_task(self._client, request.path_params["id"])
        return self._task_page(request, person, seen)

    async def answer(self, request: Request) -> Response:
        """Takes an answer, and shows what became of it."""
        person = person_of(request, self._config)
        if person is None:
            raise HTTPException(401, "You are signed out; nothing was sent.")
        form = await read_form(request, person, self._config)
        id = request.path_params["id"]
        seen = await read_task(self._client, id)
        said = await answer(self._client, self._config, person, seen, form)
        if said.keeps_form:
            return self._task_page(request, person, seen, said, form)
        keep(request, said)
        is_listed = said.is_done and form.get("back") == _LIST
        return RedirectResponse("/" if is_listed else f"/tasks/{quote(id, safe='')}", _SEE_OTHER)

    def _task_page(
        self,
        request: Request,
        person: SignedIn,
        seen: SeenTask,
        said: Said | None = None,
        entered: Mapping[str, str] | None = None,
    ) -> Response:
        wanted = request.query_params.get("step", "")
        questions = questions_of(seen.board) if seen.board is not None else []
        questions.sort(key=lambda view: wanted not in (view.asked.step, view.name))
        is_asked = any(wanted in (view.asked.step, view.name) for view in questions)
        page = {**_page("0", form_token(request, person, self._config), entered), "step": wanted}
        return self._renderer.page(
            request,
            "task.html",
            person=person,
            status=said.status if said is not None else seen.status,
            said=said,
            live=True,
            task=seen,
            questions=questions,
            children=children_that_ask(seen.board) if seen.board is not None else [],
            missed=wanted if wanted and seen.board is not None and not is_asked else "",
            page=page,
            web_ui=f"{self._config.web_ui}/{quote(seen.id, safe='')}" if self._config.web_ui else None,
        )

    # --- who is there

    async def sign_in(self, request: Request) -> Response:
        """Shows the local login, or takes it."""
        sign_in = self._config.sign_in
        if not isinstance(sign_in, LocalSignIn):
            raise HTTPException(404, "The proxy in front of the inbox signs people in.")
        if request.method != "POST":
            next_ = _local(request.query_params.get("next", ""))
            return self._renderer.page(request, "sign_in.html", next=next_, name="")
        form = await read_form(request, None, self._config)
        name, next_ = form.get("name", "").strip(), _local(form.get("next", ""))
        person = check_password(sign_in, name, form.get("password", ""))
        if person is None:
            wrong = Said("That is not a name and its password.")
            return self._renderer.page(request, "sign_in.html", status=403, said=wrong, next=next_, name=name)
        request.session.clear()
        request.session[USER] = person.name
        return RedirectResponse(next_, _SEE_OTHER)

    async def sign_out(self, request: Request) -> Response:
        """Ends a session."""
        person = person_of(request, self._config)
        await read_form(request, person, self._config)
        request.session.clear()
        return RedirectResponse("/", _SEE_OTHER)

    # --- for programs

    async def keys(self, request: Request) -> Response:
        """Publishes the key with which the inbox signs."""
        signer = self._config.signer
        return JSONResponse(signer.public_keys if signer is not None else {"keys": []})

    async def health(self, request: Request) -> Response:
        """Tells whether the inbox reaches its server."""
        if not await self._client.service_client.check_health():
            raise HTTPException(503, "The Temporal server is not healthy.")
        return JSONResponse({"status": "ok"})


def _page(
    number: str, token: str, entered: Mapping[str, str] | None = None, *, is_list: bool = False
) -> dict[str, Any]:
    """Returns what the forms of a question need from the page that they are on."""
    return {
        "number": number,
        "csrf": token,
        "entered": entered or {},
        "step": "",
        "back": _LIST if is_list else "",
        "links": is_list,
    }


def _card(place: int, found: FoundBoard, token: str) -> dict[str, Any]:
    return {
        "task": found.task,
        "note": found.note,
        "questions": questions_of(found.board) if found.board is not None else [],
        "children": children_that_ask(found.board) if found.board is not None else [],
        "page": _page(str(place), token, is_list=True),
    }


def _start(request: Request) -> int:
    text = request.query_params.get("from", "0")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 0


def _to_sign_in(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/sign-in?next={quote(here, safe='')}", _SEE_OTHER)


def _local(path: str) -> str:
    """Returns a path of the inbox itself: nobody is led elsewhere after signing in."""
    is_own = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if is_own else "/"
