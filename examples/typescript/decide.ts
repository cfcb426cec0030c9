// Answers what a task asks a person, for exactly what it shows now.
//
//   node dist/decide.js ID STEP ACTION WHO [VALUE]
//
// COUNTERSTEP_DECISION_TOKEN may have a signed token, which proves who it is.
import { Client, Connection, WorkflowUpdateFailedError } from '@temporalio/client';

interface Asked {
  step: string;
  ask: string;
  actions: string[];
  update: 'decide' | 'resolve';
  show?: unknown;
  hash?: string;
}

const [id, step, action, by, value] = process.argv.slice(2);
if (id === undefined || step === undefined || action === undefined || by === undefined)
  throw new Error('usage: node dist/decide.js ID STEP ACTION WHO [VALUE]');
const connection = await Connection.connect({ address: process.env.TEMPORAL_ADDRESS ?? 'localhost:7233' });
const client = new Client({ connection, namespace: process.env.TEMPORAL_NAMESPACE ?? 'default' });
const handle = client.workflow.getHandle(id);
const token = process.env.COUNTERSTEP_DECISION_TOKEN;

try {
  const board = await handle.query<{ waiting_for: Asked[] }>('board');
  const asked = board.waiting_for.find((one) => one.step === step);
  if (asked === undefined) throw new Error(`${step} waits for nobody`);
  console.error(asked.ask, JSON.stringify(asked.show ?? null));
  const said = {
    step,
    action,
    by,
    ...(value === undefined ? {} : { value: JSON.parse(value) }),
    ...(asked.hash === undefined ? {} : { hash: asked.hash }),
    ...(token === undefined ? {} : { token }),
  };
  console.log(JSON.stringify(await handle.executeUpdate(asked.update, { args: [said] })));
} catch (error) {
  if (!(error instanceof WorkflowUpdateFailedError)) throw error;
  console.error(`refused: ${error.cause?.message}`);
  process.exitCode = 1;
} finally {
  await connection.close();
}
