import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestGateway } from '../../../src/testing/index.ts';
import { clientVersions, loadClient } from '../../clients/load.ts';
import { startTestApp } from '../../harness/app.ts';
import { isMissing, isAllRequired } from '../../harness/installed-programs.ts';
import { pageClients } from './drivers/chromium.ts';
import { nodeClient } from './drivers/node.ts';
import { pythonClients } from './drivers/python.ts';
import { createFindings, testClient } from './run.ts';
import { isComplete, withFindings, write } from './table.ts';

// Every real client, over every transport, against the complete gateway.

// 1.3.7 does not differ from 1.3.6 here.
const versions = clientVersions.filter((version) => version !== '1.3.7');

const findings = createFindings();
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
  for (const version of versions) testClient(nodeClient(version, loadClient(version)), () => app, findings);

  describe('of a browser', { skip: noChromium }, () => {
    const chromium = pageClients('1.3.6');
    beforeAll(() => chromium.ready(), 60_000);
    afterAll(() => chromium[Symbol.asyncDispose]());
    testClient(chromium, () => app, findings);
  });

  describe('of Python', { skip: noPython }, () => {
    const python = pythonClients();
    beforeAll(() => python.ready());
    afterAll(() => python[Symbol.asyncDispose]());
    testClient(python, () => app, findings);
  });
});

test('docs/legacy-clients.md has the table of the findings', async ({ skip }) => {
  // A failure is not documented but fixed, and a skipped client has no findings.
  if (!isComplete(findings)) return skip();
  const { before, after } = await withFindings(findings);
  if (before === after) return;
  expect(isAllRequired(), 'the table differs: run this without REQUIRE_ALL and commit it').toBe(false);
  await write(after);
  console.warn('docs/legacy-clients.md differed from the findings and was rewritten: commit it');
});
