"""A spec as it is sent, and compared, when a task is started."""

from __future__ import annotations

import yaml

from counterstep.bundle.spec_file import parse_spec
from counterstep.client.start_once import spec_document
from counterstep.tests.support.processes.command import ORDER


def test_a_spec_survives_its_document() -> None:
    spec = parse_spec(yaml.safe_load(ORDER))
    assert parse_spec(spec_document(spec)) == spec
