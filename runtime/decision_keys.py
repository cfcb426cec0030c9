"""The public keys of those who sign decisions, read from a file or an address and kept fresh."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
from jwt.exceptions import InvalidAudienceError, MissingRequiredClaimError, PyJWTError

from ..saga.errors import DefinitionError
from ..saga.people.signatures import KEYS

REFRESH: Final = 300.0
"""Seconds after which the keys are read again."""

SOONEST: Final = 10.0
"""Seconds between two readings at least, however many tokens name a key that is not known."""

_TIMEOUT: Final = 10.0
_LARGEST: Final = 1_000_000

# An algorithm for each kind of key; whoever checks a shared secret could sign with it as well.
_ALGORITHMS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("RSA", ""): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
_ASYMMETRIC: Final = frozenset(name for names in _ALGORITHMS.values() for name in names)
_OPTIONS: Final[Any] = {
    # The clock is the workflow's, so the times are compared elsewhere.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_sub": False,
    "verify_jti": False,
    "require": ["sub", "iat", "exp", "jti"],
}

logger = logging.getLogger("counterstep.worker")


class KeySet:
    """The keys of one JWKS, by their ids."""

    def __init__(self, document: Any) -> None:
        """Reads a JWKS.

        Args:
            document: The JSON value.

        Raises:
            ValueError: It is not one, has a secret or private key, or no key that can be used.
        """
        listed = document.get("keys") if isinstance(document, Mapping) else None
        if not isinstance(listed, list):
            raise ValueError("it is not a JWKS, which is a JSON object with the list keys")
        self._keys: dict[str | None, tuple[Any, tuple[str, ...]]] = {}
        for number, key in enumerate(listed):
            if not isinstance(key, Mapping):
                raise ValueError(f"keys[{number}] is not a JSON object")
            if key.get("kty") == "oct" or "d" in key:
                raise ValueError(f"keys[{number}] is a secret or private key; only public keys belong here")
            if key.get("use", "sig") != "sig":
                continue
            kind = str(key.get("kty"))
            names = _ALGORITHMS.get((kind, "" if kind == "RSA" else str(key.get("crv"))), ())
            if "alg" in key:
                names = tuple(name for name in names if name == key["alg"])
            if not names:
                continue  # a key set may hold keys for other purposes
            try:
                public = jwt.PyJWK.from_dict(dict(key), algorithm=names[0]).key
            except PyJWTError as error:
                raise ValueError(f"keys[{number}] cannot be read: {error}") from None
            self._keys[key.get("kid")] = public, names
        if not self._keys:
            raise ValueError("it has no key with which decisions can be checked (ES, RS, PS or EdDSA)")

    def find(self, kid: str | None) -> tuple[Any, tuple[str, ...]] | None:
        """Returns a key and the algorithms that it is for; without an id the only key there is."""
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid) if kid is not None else None


class DecisionKeys:
    """The keys of a worker."""

    def __init__(self, source: str, audience: str | None = None) -> None:
        """Prepares to read keys; none are known yet.

        Args:
            source: A file, or an http(s) address.
            audience: What the claim ``aud`` of a token has to name; None where it must have none.
        """
        self._source = source
        self._audience = audience
        self._known: KeySet | None = None
        self._read_at = 0.0
        self._wanted: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def claims(self, token: str) -> Mapping[str, Any]:
        """Verifies the signature and the audience of a token, and returns its claims.

        Raises:
            ValueError: It is not signed with one of the keys, or is for somebody else.
        """
        try:
            header = jwt.get_unverified_header(token)
        except PyJWTError:
            raise ValueError("it is not a signed JWT") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in _ASYMMETRIC:
            raise ValueError(f"it is signed with {algorithm!r}; sign with ES256, RS256, PS256 or EdDSA")
        found = None if self._known is None else self._known.find(kid)
        if found is None:
            self._ask_for_news()
            raise ValueError(f"its key {kid!r} is not known; if it is new, try again in some seconds")
        key, algorithms = found
        if algorithm not in algorithms:
            raise ValueError(f"its key {kid!r} is not for {algorithm}")
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token, key, algorithms=[algorithm], audience=self._audience, options=_OPTIONS
            )
        except InvalidAudienceError:
            wanted = "none" if self._audience is None else repr(self._audience)
            raise ValueError(f"it is for another audience; this worker's is {wanted}") from None
        except MissingRequiredClaimError as error:
            raise ValueError(f"it lacks the claim {error.claim!r}") from None
        except PyJWTError:
            raise ValueError("its signature is wrong") from None
        return claims

    async def read(self) -> None:
        """Reads the keys.

        Raises:
            ValueError: They cannot be read; those that are known stay.
        """
        self._read_at = time.monotonic()
        self._known = KeySet(await self._document())

    async def keep_fresh(self) -> None:
        """Reads the keys again and again; where they cannot be read, the last ones stay."""
        self._loop, self._wanted = asyncio.get_running_loop(), asyncio.Event()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), REFRESH)
            await asyncio.sleep(max(0.0, self._read_at + SOONEST - time.monotonic()))
            self._wanted.clear()
            try:
                await self.read()
            except ValueError as error:
                logger.warning("the keys of COUNTERSTEP_DECISION_KEYS stay as they are: %s", error)

    def _ask_for_news(self) -> None:
        if self._loop is not None and self._wanted is not None:
            self._loop.call_soon_threadsafe(self._wanted.set)  # validators run in threads of their own

    async def _document(self) -> Any:
        try:
            if self._source.startswith(("http://", "https://")):
                content = await self._fetch()
            else:
                content = await asyncio.to_thread(Path(self._source).read_bytes)
            return json.loads(content[: _LARGEST + 1])
        except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ValueError(f"{self._source} cannot be read: {reason or type(error).__name__}") from None

    async def _fetch(self) -> bytes:
        async with httpx.AsyncClient(timeout=_TIMEOUT) as client:
            response = await client.get(self._source, headers={"Accept": "application/json"})
            response.raise_for_status()
            return response.content


@asynccontextmanager
async def serving_keys(source: str, audience: str | None) -> AsyncIterator[None]:
    """Lets the tasks of this process take signed decisions only, with keys that are kept fresh.

    Args:
        source: A file with a JWKS, or its http(s) address.
        audience: See `DecisionKeys`.

    Raises:
        DefinitionError: The keys cannot be read, or used.
    """
    keys = DecisionKeys(source, audience)
    try:
        await keys.read()
    except ValueError as error:
        raise DefinitionError(f"COUNTERSTEP_DECISION_KEYS: {error}") from None
    KEYS.keys = keys
    fresh = asyncio.create_task(keys.keep_fresh())
    try:
        yield
    finally:
        fresh.cancel()
        with suppress(asyncio.CancelledError):
            await fresh
        if KEYS.keys is keys:
            KEYS.keys = None
