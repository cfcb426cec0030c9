"""The activity that tells a webhook what people are asked, signed as Standard Webhooks describes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from temporalio import activity
from temporalio.exceptions import ApplicationError

from ..saga.errors import DefinitionError
from ..saga.history_format import NOTIFY

_TIMEOUT: Final = 10.0
_GONE: Final = 410
"""By this answer a receiver says that it wants nothing more."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told that tasks wait for people.

    Attributes:
        url: Where it is told.
        secret: What it is signed with: ``whsec_`` and base64.
        inbox: Where people answer; links begin with it. None for no links.
    """

    url: str
    secret: str
    inbox: str | None = None

    def __repr__(self) -> str:
        return f"Webhook(url={self.url!r})"  # the secret is nobody's business


class Notifier:
    """Tells one webhook; a worker without one takes the activity too, for tasks that others have begun."""

    def __init__(self, webhook: Webhook | None) -> None:
        """Prepares to tell a webhook.

        Raises:
            DefinitionError: It cannot be called, or nothing can be signed with its secret.
        """
        self._webhook = webhook
        if webhook is not None:
            self._sign = _signer(webhook)

    @property
    def has_webhook(self) -> bool:
        """Whether anybody is told."""
        return self._webhook is not None

    @activity.defn(name=NOTIFY)
    async def notify(self, notice: Any) -> bool:
        """Sends one notice.

        Args:
            notice: ``type``, ``timestamp`` and ``data``.

        Returns:
            Whether it was received; False where this worker has no webhook.

        Raises:
            ApplicationError: It was not received, and is sent again later.
        """
        webhook = self._webhook
        if webhook is None:
            return False
        import httpx

        data = dict(notice["data"])
        if webhook.inbox is not None:
            data["link"] = link_to(webhook.inbox, data["task_id"], data["step"])
        body = json.dumps({**notice, "data": data}, ensure_ascii=False)
        info = activity.info()
        # The same for all attempts, so that a receiver knows what it has had already.
        id_ = f"msg_{info.workflow_run_id}_{info.activity_id}"
        headers = self._headers(id_, body)
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT) as client:
                response = await client.post(webhook.url, content=body.encode(), headers=headers)
        except httpx.HTTPError as error:
            raise ApplicationError(
                f"the webhook was not reached: {error or type(error).__name__}", type="WebhookFailed"
            ) from None
        if not response.is_success:
            raise ApplicationError(
                f"the webhook has answered {response.status_code}",
                type="WebhookFailed",
                non_retryable=response.status_code == _GONE,
            )
        return True

    def _headers(self, id_: str, body: str) -> Mapping[str, str]:
        now = datetime.now(UTC)
        return {
            "content-type": "application/json",
            "webhook-id": id_,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._sign(msg_id=id_, timestamp=now, data=body),
        }


def link_to(inbox: str, task_id: str, step: str) -> str:
    """Returns where the inbox shows what a step of a task asks."""
    return f"{inbox.rstrip('/')}/tasks/{quote(task_id, safe='')}?step={quote(step, safe='')}"


def _signer(webhook: Webhook) -> Any:
    import httpx
    from standardwebhooks.webhooks import Webhook as Signer

    try:
        url = httpx.URL(webhook.url)
    except httpx.InvalidURL as error:
        raise DefinitionError(f"COUNTERSTEP_NOTIFY_URL: {webhook.url!r} is not an address: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise DefinitionError(f"COUNTERSTEP_NOTIFY_URL: {webhook.url!r} is not an http(s) address")
    try:
        signer = Signer(webhook.secret)
    except Exception:
        raise DefinitionError(
            "COUNTERSTEP_NOTIFY_SECRET: must be whsec_ and base64, and not empty, as Standard Webhooks has it"
        ) from None
    return signer.sign
