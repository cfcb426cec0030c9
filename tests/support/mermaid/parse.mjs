// Reads JSON, a list of Mermaid texts, from stdin; fails with the parser's words where one is none.
import { readFileSync } from 'node:fs';
import { JSDOM } from 'jsdom';

const { window } = new JSDOM('');
Object.assign(globalThis, { window, document: window.document });
const { default: mermaid } = await import('mermaid');
for (const text of JSON.parse(readFileSync(0, 'utf8'))) {
  const { diagramType } = await mermaid.parse(text);
  if (diagramType !== 'flowchart-v2') throw new Error(`it is taken for a ${diagramType}`);
}
