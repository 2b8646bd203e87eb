import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestGateway } from '../../../src/testing/index.ts';
import { clientVersions, loadClient } from '../../clients/load.ts';
import { startTestApp } from '../../harness/app.ts';
import { isMissing, isAllRequired } from '../../harness/installed-programs.ts';
import { createChromiumClientKind } from './drivers/chromium.ts';
import { createNodeClientKind } from './drivers/node.ts';
import { createPythonClientKind } from './drivers/python.ts';
import { createMatrixResults, testClientKind } from './run.ts';
import { isComplete, renderDocument, writeDocument } from './table.ts';

// Every real client, over every transport, against the complete gateway.

// 1.3.7 does not differ from 1.3.6 here.
const versions = clientVersions.filter((version) => version !== '1.3.7');

const results = createMatrixResults();
let app: TestGateway;

beforeAll(async () => {
  app = await startTestApp({ legacyLimits: { pingIntervalMs: 300, pingTimeoutMs: 20_000 } });
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
});

const noChromium = isMissing('chromium');
const noPython = isMissing('python3-socketio');

describe('clients', { concurrent: true }, () => {
  for (const version of versions)
    testClientKind(createNodeClientKind(version, loadClient(version)), () => app, results);

  describe('in a browser', { skip: noChromium }, () => {
    const chromium = createChromiumClientKind('1.3.6');
    beforeAll(() => chromium.start(), 60_000);
    afterAll(() => chromium[Symbol.asyncDispose]());
    testClientKind(chromium, () => app, results);
  });

  describe('in Python', { skip: noPython }, () => {
    const python = createPythonClientKind();
    beforeAll(() => python.start());
    afterAll(() => python[Symbol.asyncDispose]());
    testClientKind(python, () => app, results);
  });
});

test('docs/legacy-clients.md has the table of the results', async ({ skip }) => {
  // A failure is fixed, not documented; and a skipped client has no results.
  if (!isComplete(results)) return skip();
  const { current, rendered } = await renderDocument(results);
  if (current === rendered) return;
  expect(isAllRequired(), 'the table differs: run this without REQUIRE_ALL and commit it').toBe(false);
  await writeDocument(rendered);
  console.warn('docs/legacy-clients.md differed from the results and was rewritten: commit it');
});
