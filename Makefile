# The same verbs for people and for CI. They need Python 3.11 or later, make and git; the rest goes into .venv.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-plan demo-support demo-content demo-research demo-incident demo-dinner test test-unit test-long test-clients test-slow test-ui test-frameworks test-agents test-mcp-servers pictures tutorial docs histories explore explore-incident check format bench bench-gateway rollback soak compose-try clean

help: ## list these verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/stamp ## install everything into .venv
	@:

.venv/stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Counterstep needs Python 3.11 or later; name one with: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up .venv; the first time takes a minute or two." >&2
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]'
	@mkdir -p .link
	@ln -sfn .. .link/counterstep
	@ln -sfn ../examples .link/examples
	@ln -sfn ../benchmarks .link/benchmarks
	@touch $@

demo: setup ## run a real task to its end, and once more with a late failure that is undone
	@$(BIN)/python -m examples.trip.demo $(ARGS)

demo-plan: setup ## run plans that an agent and a team make, and others when the world changes in the middle
	@$(BIN)/python -m examples.trip.tour_demo $(ARGS)

demo-support: setup ## run a task with several wishes: all well, a fault in one of them, a cancel
	@$(BIN)/python -m examples.support_desk.demo $(ARGS)

demo-content: setup ## write an article: one is published with a yes, three are undone
	@$(BIN)/python -m examples.content_pipeline.demo $(ARGS)

demo-research: setup ## research 50 made-up companies: all well, a late fault, a cancel
	@$(BIN)/python -m examples.investment_research.demo $(ARGS)

demo-incident: setup ## heal a real service: a wrong guess undone, no way out, a worker killed in a restart
	@$(BIN)/python -m examples.incident_response.demo $(ARGS)

demo-dinner: setup ## plan a family's day, and plan it again when a flight is late
	@$(BIN)/python -m examples.dinner.demo $(ARGS)

# They start many processes: what these import is compiled once, also where the environment says otherwise.
test test-unit test-long test-slow: export PYTHONDONTWRITEBYTECODE :=

# Most tests wait for timers and processes: six at a time do not need six cores. In their order the many short
# unit tests come last, so that no process is left alone with a long file. Where one of them dies the run ends:
# xdist 3.8 would start another one, and then wait for ever.
SIX := --numprocesses 6 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test: setup ## run the tests; ARGS="-k ledger" picks some
	@$(BIN)/pytest $(SIX) -m "not slow and not long and not npm" $(ARGS)

test-long: setup ## run what repeats those tests, larger and in more variations, and the examples
	@$(BIN)/pytest $(SIX) -m "long and not slow and not npm" $(ARGS)

test-unit: setup ## run the tests that need no server
	@$(BIN)/pytest tests/unit --numprocesses 3 -m "not slow" $(ARGS)

test-clients: setup ## run the tests that need node and the npm registry: a start from TypeScript, Mermaid's parser
	@$(BIN)/pytest tests/server/client/test_typescript.py $(ARGS)

test-slow: setup ## run the tests that take tens of seconds each, most of the explorer's
	@$(BIN)/pytest --numprocesses 2 --dist load -m slow $(ARGS)

.venv/ui: .venv/stamp
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[ui]'
	@touch $@

test-ui: .venv/ui ## look at tasks in the Web UI and in the inbox with a browser; needs Chromium
	@$(BIN)/pytest tests/ui $(ARGS)

# An environment of its own: their pins are not ours.
.counterstep/frameworks/stamp: pyproject.toml .venv/stamp
	@$(PYTHON) -m venv .counterstep/frameworks
	@.counterstep/frameworks/bin/python -m pip install -qq --disable-pip-version-check -e '.[frameworks]'
	@touch $@

test-frameworks: .counterstep/frameworks/stamp ## run the tests beside OpenAI's agents, pydantic-ai and LangGraph
	@.counterstep/frameworks/bin/python -m pytest tests/frameworks -m "not slow" $(ARGS)

test-agents: setup ## run the agents of other frameworks under a saga, each in an environment of its own; needs npm
	@mkdir -p .counterstep/agents
	@$(BIN)/pytest tests/foreign_agents --timeout 2400 $(ARGS)
	@$(BIN)/python -m counterstep.tests.support.foreign_agents.table

# Servers of others are programs: they have an environment of their own, and we only start them.
.counterstep/mcp-servers/stamp: $(addprefix tests/mcp_servers/,requirements.txt package.json package-lock.json)
	@$(PYTHON) -m venv .counterstep/mcp-servers
	@.counterstep/mcp-servers/bin/python -m pip install -qq --disable-pip-version-check -r $<
	@cp $(filter %.json,$^) .counterstep/mcp-servers
	@npm ci --prefix .counterstep/mcp-servers --loglevel error --no-audit --no-fund
	@touch $@

test-mcp-servers: .venv/stamp .counterstep/mcp-servers/stamp ## run the tests with public MCP servers; needs git, node and npm
	@$(BIN)/pytest tests/mcp_servers $(ARGS)

PICTURES := list list-rolled-back timeline undos board-rolled-back board-waiting inbox inbox-undo inbox-phone

pictures: test-ui ## and keep what it has seen as the pictures of the docs
	@mkdir -p docs/images
	@cp $(PICTURES:%=.counterstep/ui/%.png) docs/images

histories: setup ## record how tasks end, where this version has not yet; make test replays it all
	@$(BIN)/python -m counterstep.tests.support.histories.recording $(ARGS)

explore: setup ## break five tasks in every place and in every way, and count what is left behind
	@mkdir -p .counterstep
	@TRIP_DB=.counterstep/explore.sqlite $(BIN)/counterstep explore examples/trip/trip.yaml \
		--bundle examples.trip.bundle:trip --effects examples.trip.world:standing \
		--prepare examples.trip.world:restock --input origin=Zurich --input destination=Rome \
		--input budget=1000 $(ARGS)
	@rm -rf .counterstep/explore
	@SUPPORT_DB='.counterstep/explore/{task}.sqlite' $(BIN)/counterstep explore \
		examples/support_desk/support_desk.yaml --bundle examples.support_desk.bundle:support \
		--effects examples.support_desk.world:standing \
		--input-file examples/support_desk/messages/charged_twice.yaml $(ARGS)
	@CONTENT_FOLDER='.counterstep/explore/{task}' $(BIN)/counterstep explore \
		examples/content_pipeline/content_pipeline.yaml --bundle examples.content_pipeline.bundle:content \
		--effects examples.content_pipeline.world:standing --input topic=lighthouses $(ARGS)
	@RESEARCH_FOLDER='.counterstep/explore/{task}' $(BIN)/counterstep explore \
		examples/investment_research/investment_research.yaml --bundle examples.investment_research.bundle:research \
		--effects examples.investment_research.world:standing \
		--input quarter=2026Q1 --input companies=1 $(ARGS)
	@COUNTERSTEP_TEST_BANQUET=.counterstep/banquet.sqlite $(BIN)/counterstep explore tests/support/bundles/banquet.yaml \
		--bundle counterstep.tests.support.bundles.banquet:banquet \
		--effects counterstep.tests.support.bundles.banquet:standing --input guests=3 $(ARGS)

explore-incident: setup ## the same for the incident, whose service really runs: a process each, and a quarter of an hour
	@rm -rf .counterstep/explore
	@INCIDENT_HOME='.counterstep/explore/{task}' INCIDENT_IDLE_SECONDS=120 \
		$(BIN)/python -m examples.incident_response.script $(BIN)/counterstep explore \
		examples/incident_response/incident_response.yaml --bundle examples.incident_response.bundle:incident \
		--effects examples.incident_response.world:standing --model openai/scripted \
		--input environment=production --input "alarm=checkout-2 refuses customers." --parallel 2 $(ARGS)

tutorial: setup ## follow the tutorial word by word, from an empty folder to its end
	@$(BIN)/pytest -m slow tests/docs/test_tutorial.py $(ARGS)

docs: setup ## build the documentation into .counterstep/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict $(ARGS)
	@echo ".counterstep/site/index.html"

check: setup ## format, lint, types, import contracts
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy -p counterstep -p examples -p benchmarks
	@$(BIN)/lint-imports --no-logo

format: setup ## put the sources into shape
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format --quiet

bench: setup ## compare with a hand-written saga
	@$(BIN)/python -m benchmarks.saga $(ARGS)

bench-gateway: setup ## compare a call through the gateway of a process agent with one by our own agent loop
	@$(BIN)/python -m benchmarks.gateway $(ARGS)

rollback: setup ## time a wide rollback, and how soon tasks go on after a kill -9
	@$(BIN)/python -m benchmarks.rollback $(ARGS)

soak: setup ## 200 tasks at once while their workers are killed for two minutes
	@$(BIN)/python -m benchmarks.soak $(ARGS)

compose-try: setup ## run tasks in docker-compose.yml, and kill a worker; ARGS=--stand-ins needs no image registry
	@$(BIN)/python -m deploy.try_compose $(ARGS)

clean: ## remove what the other verbs made
	@rm -rf .venv .link build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .grimp_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
