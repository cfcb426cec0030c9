"""What `graph` and `catalog` print of specs and bundles."""

from __future__ import annotations

from pathlib import Path

from counterstep.tests.support.processes.command import Shop

BUNDLE = ("--bundle", "shop:shop")


def test_graph_and_catalog_as_commands(tmp_path: Path) -> None:
    shop = Shop.open(tmp_path)
    graph = shop.run("graph", "shop.order", *BUNDLE, "--json")
    assert (graph.code, graph.json["task"], [step["id"] for step in graph.json["steps"]]) == (
        0,
        "order",
        ["take"],
    )
    assert graph.json["mermaid"].endswith('  s1["take<br/>shop.reserve"]')
    catalog = shop.run("catalog", *BUNDLE, "--json")
    assert catalog.code == 0
    assert catalog.json["tools"]["shop.reserve"]["compensate"] == "shop.release"
    assert "shop.reserve   sku, delay   compensatable   shop.release" in catalog.err
    both = shop.run("graph", "order.yaml", "--id", "x")
    neither = shop.run("catalog")
    assert (both.code, neither.code) == (2, 2)
    assert "Name a SPEC, or a task that was started with --id." in both.err
    assert "Name a bundle with --bundle or COUNTERSTEP_BUNDLES." in neither.err
