"""The content store: slugs, pictures, drafts, search entries and pages, as rows and files."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, MetaData, select

from counterstep import NotApplied

from ..workplace import STANDING, Call, Item, Workplace, items_table, own_file

SLUG, MEDIA, DRAFT, SEO, PAGE = "slug", "media", "draft", "seo", "page"
"""The kinds of items."""

SITE = "CONTENT_SITE"
"""The variable that says how the site is: ``up``, or ``down``, which takes no page."""

_ITEMS = items_table("content_items", MetaData())


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Slug(_Model):
    """The last part of an address, reserved for one article."""

    slug: str


class Media(_Model):
    """A picture that was uploaded."""

    media: str
    alt: str


class Draft(_Model):
    """One version of an article: the path of its file, and how many words it has."""

    draft: str
    words: int


class Seo(_Model):
    """What search engines are told of an article."""

    description: str
    keywords: list[str]


class Page(_Model):
    """An article that is published."""

    url: str


class Store:
    """One content store."""

    def __init__(self, folder: Path) -> None:
        """Names its folder; it is made when it is first used."""
        self.workplace = Workplace(folder, _ITEMS, lambda _: None)

    def reserve_slug(self, call: Call, title: str) -> Slug:
        """Reserves the address for a title; raises `NotApplied` where another article has it."""
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        if not slug:
            raise NotApplied(f"no address can be made of the title {title!r}")

        def is_free(connection: Connection) -> None:
            this = (_ITEMS.c.kind == SLUG) & (_ITEMS.c.name == slug) & (_ITEMS.c.state == STANDING)
            # The first change of this transaction was the row of this call: nobody else writes meanwhile.
            if connection.execute(select(_ITEMS.c.key).where(this, _ITEMS.c.key != call.key)).first():
                raise NotApplied(f"the address {slug!r} is taken")

        self.workplace.keep(call, SLUG, slug, {"title": title}, check=is_free)
        return Slug(slug=slug)

    def upload_media(self, call: Call, slug: str, title: str) -> Media:
        """Draws the picture that stands above an article, and uploads it."""
        shown = html.escape(title)
        picture = (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 200" role="img">'
            f'<title>{shown}</title><rect width="600" height="200" fill="#234"/>'
            f'<text x="300" y="110" fill="#fff" font-size="28" text-anchor="middle">{shown}</text></svg>\n'
        )
        file = own_file("site/media", self._own(call, slug), call, "svg")
        self.workplace.keep(call, MEDIA, slug, {"alt": title}, file=file, content=picture)
        return Media(media=file, alt=title)

    def save_draft(self, call: Call, slug: str, body: str) -> Draft:
        """Stores a version of an article."""
        file = own_file("drafts", self._own(call, slug), call, "md")
        words = len(body.split())
        self.workplace.keep(call, DRAFT, slug, {"words": words}, file=file, content=body)
        return Draft(draft=file, words=words)

    def save_seo(self, call: Call, slug: str, seo: Seo) -> Seo:
        """Stores what search engines are to be told."""
        self.workplace.keep(call, SEO, self._own(call, slug), seo.model_dump())
        return seo

    def publish(self, call: Call, slug: str, title: str, draft: str, seo: Seo, media: Media) -> Page:
        """Puts an article on the site; raises `NotApplied` where that cannot be done."""
        if os.environ.get(SITE, "up") == "down":
            raise NotApplied("the site is down and takes no page")
        body = self.text_of(call.task, draft)
        file = f"site/{self._own(call, slug)}.html"
        page = _page(title, body, seo, media)
        self.workplace.keep(call, PAGE, slug, {"title": title}, file=file, content=page)
        return Page(url=f"/{slug}.html")

    def list_pages(self) -> list[str]:
        """Writes the table of contents of the site anew, and returns what it lists."""
        pages = self.workplace.items(kind=PAGE)
        lines = [f'<li><a href="{page.name}.html">{html.escape(_title(page))}</a></li>' for page in pages]
        self.workplace.write("site/index.html", "\n".join(["<ul>", *lines, "</ul>", ""]))
        return [f"/{page.name}.html" for page in pages]

    def text_of(self, task: str, draft: str) -> str:
        """Returns the text of a draft of a task; raises `NotApplied` where it has no such draft."""
        files = [item.file for item in self.workplace.items(task, DRAFT)]
        body = self.workplace.read(draft) if draft in files else None
        if body is None:
            raise NotApplied(f"there is no draft {draft!r}; there is {', '.join(map(str, files)) or 'none'}")
        return body

    def _own(self, call: Call, slug: str) -> str:
        """Returns a slug, which the task must have reserved: no other may stand in a path."""
        if slug not in [item.name for item in self.workplace.items(call.task, SLUG)]:
            raise NotApplied(f"this task has not reserved the address {slug!r}")
        return slug


def _title(page: Item) -> str:
    return str((page.data or {}).get("title", page.name))


def _page(title: str, body: str, seo: Seo, media: Media) -> str:
    parts = []
    for line in filter(None, body.splitlines()):
        tag = "h2" if line.startswith("#") else "p"
        parts.append(f"<{tag}>{html.escape(line.lstrip('# '))}</{tag}>")
    picture = media.media.removeprefix("site/")
    return "\n".join(
        [
            "<!doctype html>",
            f"<title>{html.escape(title)}</title>",
            f'<meta name="description" content="{html.escape(seo.description)}">',
            f'<meta name="keywords" content="{html.escape(", ".join(seo.keywords))}">',
            f'<img src="{picture}" alt="{html.escape(media.alt)}">',
            f"<h1>{html.escape(title)}</h1>",
            *parts,
            "",
        ]
    )


_stores: dict[str, Store] = {}


def store(task: str) -> Store:
    """Returns the store for a task.

    ``CONTENT_FOLDER`` names its folder; ``.counterstep/content`` where it is not set. ``{task}`` in it stands
    for the task's id: a store for each task, for when many at once are to write on the same topic.
    """
    named = (os.environ.get("CONTENT_FOLDER") or ".counterstep/content").replace("{task}", task)
    return _stores.setdefault(named, Store(Path(named)))
