import os

from crewai import Agent, Crew, Task
from crewai_tools import MCPServerAdapter

bearer = {"Authorization": f"Bearer {os.environ['COUNTERSTEP_TOKEN']}"}
server = {"url": os.environ["COUNTERSTEP_MCP_URL"], "transport": "streamable-http", "headers": bearer}
with MCPServerAdapter(server) as tools:
    agent = Agent(
        role="travel", goal="book trips", backstory="You book trips.", llm="openai/travel-model", tools=tools
    )
    task = Task(description=os.environ["COUNTERSTEP_INPUT"], expected_output="the bookings", agent=agent)
    print(Crew(agents=[agent], tasks=[task]).kickoff().raw)
