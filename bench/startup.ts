// Measures the start time, the idle memory, and the latency of single messages with the embedded database.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createGraphqlClient } from '../src/testing/index.ts';
import { record } from './results.ts';
import { formatPercentile, print, startServer } from './server.ts';

const MESSAGES = 500;

async function measureSends(url: string): Promise<number[]> {
  await using anonymous = createGraphqlClient(url);
  const { login } = await anonymous.run<{ login: { token: string } }>(
    'mutation { login(email: "ann@example.com", password: "parley") { token } }',
  );
  await using ann = createGraphqlClient(url, login.token);
  await using events = ann.subscribe<{ __typename: string }>(
    'subscription { conversationEvents(conversationId: "Conversation:1") { __typename ... on MessageSent { message { text } } } }',
  );
  await events.nextOf('StreamLive');
  const delays: number[] = [];
  for (let index = 0; index < MESSAGES; index += 1) {
    const startedAt = performance.now();
    const send = ann.run(
      'mutation { sendMessage(conversationId: "Conversation:1", text: "hello") { message { id } } }',
    );
    await events.nextOf('MessageSent');
    delays.push(performance.now() - startedAt);
    await send;
  }
  return delays.toSorted((a, b) => a - b);
}

const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
try {
  const firstReadyMs = await startServer(dataDir).then(async (server) => {
    await server[Symbol.asyncDispose]();
    return server.readyMs;
  });
  print(`first start, ready after       ${(firstReadyMs / 1000).toFixed(1)} s`);
  await using server = await startServer(dataDir);
  print(`later start, ready after       ${(server.readyMs / 1000).toFixed(1)} s`);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const idleMb = await server.residentMb();
  print(`idle memory                    ${idleMb.toFixed(0)} MB`);
  const delays = await measureSends(server.url);
  print(
    `single message, send to socket ${formatPercentile(delays, 0.5)} ms (median), ${formatPercentile(delays, 0.99)} ms (p99)`,
  );
  const [sendMedianMs, sendP99Ms] = [
    Number(formatPercentile(delays, 0.5)),
    Number(formatPercentile(delays, 0.99)),
  ];
  await record('startup', [{ firstReadyMs, readyMs: server.readyMs, idleMb, sendMedianMs, sendP99Ms }]);
} finally {
  await rm(dataDir, { recursive: true, force: true });
}
