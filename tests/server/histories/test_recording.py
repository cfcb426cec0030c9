"""G12: what is recorded now is complete, and replays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from temporalio.worker import Replayer

from counterstep.tests.support.histories import histories, recording
from counterstep.tests.support.histories.replay import replayer_of
from counterstep.tests.support.scenes.scene import SCENES
from counterstep.tests.support.scenes.stage import WORKFLOWS


@pytest.fixture(scope="module")
def replayer() -> Replayer:
    return replayer_of(*WORKFLOWS)


async def test_what_is_recorded_now_replays(tmp_path: Path, replayer: Replayer) -> None:
    scenes = [SCENES[name] for name in ("attention_open", "nested", "continued")]
    await recording.record(scenes, tmp_path)
    names = [file.name for scene in scenes for file in histories.files_of(tmp_path, scene.name)]
    assert names[:4] == ["attention_open.json", "nested.json", "nested.2.json", "nested.3.json"]
    assert {"continued.json", "continued.2.json"} <= set(names)
    assert sorted(names) == sorted(os.listdir(tmp_path))
    for name in names:
        await replayer.replay_workflow(histories.read(tmp_path / name))
