"""What is said of a server that runs, and does not take the connection."""

from __future__ import annotations

from typing import Any, cast

import pytest
from temporalio.envconfig import ClientConnectConfig

from counterstep.embedded import EmbeddedServer
from counterstep.runtime.connection import connect
from counterstep.saga.errors import ServerUnavailable

KEY = "2see0it1orac"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"tls": True}, "it does not speak TLS. TEMPORAL_API_KEY, TEMPORAL_TLS_* or a profile asks for TLS"),
        ({"api_key": KEY}, "set TEMPORAL_TLS=false, or name an address with TLS."),
        (
            {"namespace": "nowhere"},
            "has no namespace 'nowhere': Namespace nowhere is not found. Name another",
        ),
    ],
)
async def test_what_is_wrong_with_a_server_that_runs(
    server: EmbeddedServer, option: dict[str, Any], said: str
) -> None:
    with pytest.raises(ServerUnavailable) as caught:
        await connect(cast(ClientConnectConfig, {"target_host": server.address, **option}))
    assert said in str(caught.value)
    assert "counterstep server" not in str(caught.value)
    assert "transport::Error" not in str(caught.value)
