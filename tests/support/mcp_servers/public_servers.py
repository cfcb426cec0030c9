"""Public MCP servers with undos: git, files and a memory, each confined to one folder."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from counterstep import Bundle, McpServer

INSTALLED = Path(__file__).resolve().parents[3] / ".counterstep" / "mcp-servers"
"""Where `make test-mcp-servers` has put them."""

GIT: dict[str, Any] = {
    "git_checkout": {
        "before": {"tool": "git_status", "input": {"repo_path": "${{ arguments.repo_path }}"}},
        "undo": {
            "tool": "git_checkout",
            "input": {"repo_path": "${{ arguments.repo_path }}", "branch_name": "main"},
            "when": "before.contains('On branch main') && !now.contains('On branch main')",
        },
    },
    "git_add": {
        "before": {"tool": "git_diff_staged", "input": {"repo_path": "${{ arguments.repo_path }}"}},
        "undo": {
            "tool": "git_reset",
            "input": {"repo_path": "${{ arguments.repo_path }}"},
            "when": "now != before",
        },
    },
}

FILES: dict[str, Any] = {
    "edit_file": {
        "before": {"tool": "read_text_file", "input": {"path": "${{ arguments.path }}"}},
        "undo": {
            "tool": "write_file",
            "input": {"path": "${{ arguments.path }}", "content": "${{ before.content }}"},
            "when": "now != before",
        },
    },
    "move_file": {
        # That it is not there yet is an error of the tool.
        "before": {
            "tool": "get_file_info",
            "input": {"path": "${{ arguments.destination }}"},
            "on_error": "null",
        },
        "undo": {
            "tool": "move_file",
            "input": {"source": "${{ arguments.destination }}", "destination": "${{ arguments.source }}"},
            "when": "before == null && now != null",
        },
    },
}

MEMORY: dict[str, Any] = {
    "create_entities": {
        "before": {"tool": "read_graph", "input": {}},
        "undo": {
            "tool": "delete_entities",
            "input": {
                "entityNames": "${{ arguments.entities.map(e, e.name)"
                ".filter(n, !before.entities.exists(e, e.name == n)) }}"
            },
        },
    },
    "create_relations": {
        "before": {"tool": "read_graph", "input": {}},
        "undo": {
            "tool": "delete_relations",
            "input": {
                "relations": "${{ arguments.relations.filter(r, !before.relations.exists(o, o == r)) }}"
            },
        },
    },
    "add_observations": {
        "before": {
            "tool": "open_nodes",
            "input": {"names": "${{ arguments.observations.map(o, o.entityName) }}"},
        },
        "undo": {
            "tool": "delete_observations",
            "input": {
                "deletions": "${{ arguments.observations.map(o, {'entityName': o.entityName, 'observations': "
                "o.contents.filter(c, !before.entities.exists(e, e.name == o.entityName && "
                "c in e.observations))}) }}"
            },
        },
    },
}

HOOK = """#!/bin/sh
# The branch is another one already, and git has not come back to the server yet.
if rm .git/hold 2>/dev/null; then
    ps -o ppid= -p $PPID > .git/told && mv .git/told .git/held
    exec sleep 600
fi
"""


def servers(folder: str) -> Bundle:
    """A bundle with the three servers."""
    bundle = Bundle("office")
    node = INSTALLED / "node_modules" / ".bin"
    git = [str(INSTALLED / "bin" / "mcp-server-git"), "--repository", folder]
    bundle.add(McpServer("git", command=git, tools=GIT))
    bundle.add(McpServer("files", command=[str(node / "mcp-server-filesystem"), folder], tools=FILES))
    memory = {"MEMORY_FILE_PATH": f"{folder}/memory.jsonl"}
    bundle.add(McpServer("memory", command=[str(node / "mcp-server-memory")], env=memory, tools=MEMORY))
    return bundle


def fill(folder: Path) -> None:
    """Makes a repository with the branches `main` and `draft`, and a memory that knows something."""
    folder.mkdir(exist_ok=True)
    (folder / "notes.md").write_text("milk\nbread\n")
    (folder / ".gitignore").write_text("memory.jsonl\n")
    knows = {"type": "entity", "name": "lamp", "entityType": "thing", "observations": ["it is red"]}
    (folder / "memory.jsonl").write_text(json.dumps(knows, separators=(",", ":")))
    _git(folder, "init", "--quiet", "--initial-branch", "main")
    _git(folder, "add", ".")
    _git(folder, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "first")
    _git(folder, "branch", "draft")
    hook = folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK)
    hook.chmod(0o755)


def state(folder: Path) -> dict[str, Any]:
    """The files, the branches and which of them is checked out, what is staged, and the memory."""
    memory = (folder / "memory.jsonl").read_text().splitlines()
    return {
        "files": {path.name: path.read_text() for path in folder.iterdir() if path.suffix == ".md"},
        "head": _git(folder, "symbolic-ref", "HEAD"),
        "branches": _git(folder, "for-each-ref"),
        "status": _git(folder, "status", "--porcelain"),
        "memory": [json.loads(line) for line in memory],
    }


def _git(folder: Path, *arguments: str) -> str:
    clean = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=clean, check=True, capture_output=True, text=True
    )
    return done.stdout
