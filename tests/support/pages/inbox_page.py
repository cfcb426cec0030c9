"""Reads the pages of the inbox as a browser without JavaScript does, and sends their forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class PageForm:
    """A form.

    Attributes:
        action: Where it is sent.
        method: How.
        fields: What stands in its fields.
        buttons: The values of its buttons.
    """

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)

    def filled(self, button: str, values: Mapping[str, str]) -> dict[str, str]:
        """Returns what a browser sends when somebody fills it in and presses a button."""
        unknown = set(values) - set(self.fields)
        assert not unknown, f"there is no field {unknown}, but {list(self.fields)}"
        assert button in self.buttons, f"there is no button {button}, but {self.buttons}"
        texts = {name: text.replace("\r\n", "\n") for name, text in {**self.fields, **values}.items()}
        sent = {name: text.replace("\n", "\r\n") for name, text in texts.items()}
        return {**sent, **({"action": button} if button else {})}


class InboxPage(HTMLParser):
    """One page.

    Attributes:
        forms: Its forms.
        text: Its text.
        tags: Its elements: name and attributes.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[PageForm] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self._area: str | None = None
        self._select: str | None = None
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "form":
            self.forms.append(PageForm(given.get("action") or "", given.get("method") or "get"))
        elif tag == "input":
            self.forms[-1].fields[given.get("name") or ""] = given.get("value") or ""
        elif tag == "textarea":
            self._area = given.get("name") or ""
            self.forms[-1].fields[self._area] = ""
        elif tag == "select":
            self._select = given.get("name") or ""
            self.forms[-1].fields[self._select] = ""
        elif tag == "option" and self._select is not None and "selected" in given:
            self.forms[-1].fields[self._select] = given.get("value") or ""
        elif tag == "button" and "disabled" not in given:
            self.forms[-1].buttons.append(given.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._area is not None:
            # A line end right behind the tag is not part of the text.
            self.forms[-1].fields[self._area] = self.forms[-1].fields[self._area].removeprefix("\n")
            self._area = None
        elif tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        self._texts.append(data)
        if self._area is not None:
            self.forms[-1].fields[self._area] += data

    def form(self, button: str, **fields: str) -> PageForm:
        """Returns the form with this button, and with these hidden fields."""
        found = [
            form
            for form in self.forms
            if button in form.buttons and all(form.fields.get(name) == text for name, text in fields.items())
        ]
        assert found, f"no form has the button {button} and {fields}: {self.forms}"
        return found[0]
