// Starts a registered task, once per id, waits for its end, and prints how it ended.
//
//   npm ci && npm run build
//   node dist/start.js ID TASK '{"name": "value"}'
//
// TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and COUNTERSTEP_TASK_QUEUE say where.
import {
  ApplicationFailure,
  Client,
  Connection,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
} from '@temporalio/client';

interface TaskResult {
  task: string;
  state: 'completed';
  output: unknown;
  undone: string[];
  not_undone: string[];
  usage: { model_calls: number; tokens: number; usd: number };
}

interface RolledBack {
  failure: { step: string; type: string; message: string };
  undone: string[];
  not_undone: string[];
}

interface Board {
  task: string;
  state: string;
  steps: Record<string, { state: string; needs: string[]; output: unknown }>;
}

const [id, task, input = '{}'] = process.argv.slice(2);
if (id === undefined || task === undefined) throw new Error('usage: node dist/start.js ID TASK [INPUT]');
const connection = await Connection.connect({ address: process.env.TEMPORAL_ADDRESS ?? 'localhost:7233' });
const client = new Client({ connection, namespace: process.env.TEMPORAL_NAMESPACE ?? 'default' });

try {
  await client.workflow.start(task, {
    workflowId: id,
    taskQueue: process.env.COUNTERSTEP_TASK_QUEUE ?? 'counterstep',
    args: [JSON.parse(input)],
    // Both: the one is for a task that runs, the other for one that has ended.
    workflowIdConflictPolicy: 'FAIL',
    workflowIdReusePolicy: 'REJECT_DUPLICATE',
  });
} catch (error) {
  if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  console.error(`${id} has been started before; this is how it ended.`);
}

const handle = client.workflow.getHandle(id);
try {
  const result = (await handle.result()) as TaskResult;
  const board = await handle.query<Board>('board');
  console.log(JSON.stringify({ result, board: { state: board.state, steps: Object.keys(board.steps) } }));
} catch (error) {
  if (!(error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure)) throw error;
  // Of the type SagaRolledBack; the details say why, and what was undone in which order.
  const [details] = (error.cause.details ?? []) as RolledBack[];
  console.log(JSON.stringify({ type: error.cause.type, ...details }));
  process.exitCode = 1;
} finally {
  await connection.close();
}
