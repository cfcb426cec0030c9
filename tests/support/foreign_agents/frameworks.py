"""The frameworks and command-line agents that are run under a saga, each in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[3]
HERE = _ROOT / "tests" / "foreign_agents"
"""Where the programs and the requirements are."""

ENVIRONMENTS = _ROOT / ".counterstep" / "agents"
"""Where the environments are made, and what was seen is kept."""

_CLAUDE = (
    'exec {program} -p "$COUNTERSTEP_INPUT" --model claude-sonnet-4-5 --strict-mcp-config --mcp-config '
    '\'{{"mcpServers":{{"saga":{{"type":"http","url":"${{COUNTERSTEP_MCP_URL}}",'
    '"headers":{{"Authorization":"Bearer ${{COUNTERSTEP_TOKEN}}"}}}}}}}}\' '
    "--allowedTools mcp__saga__book_flight,mcp__saga__book_hotel --tools="
)

_CODEX = (
    "exec {program} exec --skip-git-repo-check --ephemeral --sandbox read-only"
    " -c model_provider='\"saga\"' -c model='\"travel-model\"' -c model_providers.saga.name='\"saga\"'"
    ' -c model_providers.saga.base_url="\\"$OPENAI_BASE_URL\\""'
    " -c model_providers.saga.wire_api='\"responses\"'"
    " -c model_providers.saga.env_key='\"COUNTERSTEP_TOKEN\"' -c model_providers.saga.request_max_retries=0"
    " -c model_providers.saga.stream_max_retries=0"
    ' -c mcp_servers.saga.url="\\"$COUNTERSTEP_MCP_URL\\""'
    " -c mcp_servers.saga.bearer_token_env_var='\"COUNTERSTEP_TOKEN\"'"
    " -c mcp_servers.saga.default_tools_approval_mode='\"approve\"' -c approval_policy='\"never\"'"
    ' "$COUNTERSTEP_INPUT"'
)


@dataclass(frozen=True)
class Framework:
    """One of them.

    Attributes:
        name: Of its program, its requirements and its environment.
        package: Whose version is told.
        title: What people call it.
        shell: The command line of an agent of npm, with ``{program}`` for it; empty for one of Python.
        binary: The program of an agent of npm.
        loose: Whether it needs the loose match.
    """

    name: str
    package: str
    title: str
    shell: str = ""
    binary: str = ""
    loose: bool = False

    @property
    def folder(self) -> Path:
        """Its environment."""
        return ENVIRONMENTS / self.name

    @property
    def command(self) -> list[str]:
        """How it is started."""
        if self.shell:
            program = self.folder / "node_modules" / ".bin" / self.binary
            return ["/bin/sh", "-c", self.shell.format(program=program)]
        return [str(self.folder / "bin" / "python"), str(HERE / "programs" / f"{self.name}_agent.py")]

    @property
    def variables(self) -> dict[str, str]:
        """What keeps it from talking to anybody but the gateway."""
        return {
            "OTEL_SDK_DISABLED": "true",
            "CREWAI_TRACING_ENABLED": "false",
            "CREWAI_DISABLE_TELEMETRY": "true",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "ANTHROPIC_SMALL_FAST_MODEL": "claude-sonnet-4-5",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
        }

    def install(self) -> str:
        """Makes its environment, unless it is there; returns the version of the framework."""
        done = self.folder / "installed"
        if not done.exists():
            self._make()
            done.write_text(self._version())
        return done.read_text()

    def _make(self) -> None:
        if self.shell:
            self.folder.mkdir(parents=True, exist_ok=True)
            quiet = ["--loglevel", "error", "--no-audit", "--no-fund", "--prefix", str(self.folder)]
            subprocess.run(["npm", "install", *quiet, self.package], check=True, timeout=900)
            return
        venv.create(self.folder, with_pip=True)
        requirements = HERE / "requirements" / f"{self.name}.txt"
        pip = [str(self.folder / "bin" / "python"), "-m", "pip", "install", "-qq"]
        asked = [*pip, "--disable-pip-version-check", "-r", str(requirements)]
        subprocess.run(asked, check=True, timeout=1800)

    def _version(self) -> str:
        if self.shell:
            package = self.folder / "node_modules" / self.package / "package.json"
            return str(json.loads(package.read_text())["version"])
        asked = f"import importlib.metadata as m; print(m.version({self.package!r}))"
        python = str(self.folder / "bin" / "python")
        return subprocess.run(
            [python, "-c", asked], check=True, capture_output=True, text=True
        ).stdout.strip()


FRAMEWORKS = (
    Framework("langgraph", "langgraph", "LangGraph"),
    Framework("openai_agents", "openai-agents", "OpenAI Agents SDK"),
    Framework("pydantic_ai", "pydantic-ai-slim", "pydantic-ai"),
    Framework("crewai", "crewai", "CrewAI"),
    Framework("autogen", "autogen-agentchat", "AutoGen"),
    Framework("agent_framework", "agent-framework-openai", "Microsoft Agent Framework"),
    Framework("google_adk", "google-adk", "Google ADK"),
    Framework("llama_index", "llama-index-core", "LlamaIndex"),
    Framework("smolagents", "smolagents", "smolagents"),
    Framework("claude_agent_sdk", "claude-agent-sdk", "Claude Agent SDK"),
    Framework("claude_code", "@anthropic-ai/claude-code", "Claude Code", _CLAUDE, "claude"),
    Framework("codex", "@openai/codex", "Codex CLI", _CODEX, "codex", loose=True),
)


@cache
def by_name(name: str) -> Framework:
    """Returns the framework of a name."""
    return next(framework for framework in FRAMEWORKS if framework.name == name)


def environment_of(framework: Framework, address: str, mcp: str, given: str, home: Path) -> dict[str, str]:
    """Returns the environment of a program that is run without a saga.

    Args:
        framework: Whose program.
        address: Of the provider.
        mcp: Of the tools.
        given: The wish.
        home: A folder.
    """
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "OPENAI_BASE_URL": f"{address}/v1",
        "OPENAI_API_BASE": f"{address}/v1",
        "OPENAI_API_KEY": "token",
        "ANTHROPIC_BASE_URL": address,
        "ANTHROPIC_AUTH_TOKEN": "token",
        "COUNTERSTEP_MCP_URL": mcp,
        "COUNTERSTEP_TOKEN": "token",
        "COUNTERSTEP_INPUT": given,
        **framework.variables,
    }
