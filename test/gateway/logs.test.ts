import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createDataFolder } from '../harness/data-folder.ts';
import { PROGRAM_ENV, ROOT, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';
import { startTraceCollector } from '../harness/trace-collector.ts';

const SECRET = 'a-secret-in-a-url';

test('the log contains no tokens of URLs or headers', { timeout: 60_000 }, async () => {
  await using folder = await createDataFolder();
  const env = { ...PROGRAM_ENV, DATA_DIR: folder.path, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'debug' };
  await using program = startProgram(SERVER_COMMAND, env);
  const { printed } = program;
  const url = await waitUntilListening(program.child);
  const headers = { authorization: `Bearer ${SECRET}` };
  for (const path of [
    '/graphql?query={me{__typename}}',
    '/media/1?x=1',
    '/nowhere?x=1',
    '/socket.io/?EIO=9&x=1',
  ])
    for (const method of ['GET', 'POST', 'PUT'])
      await fetch(`${url}${path}&access_token=${SECRET}`, { method, headers });
  const socket = new WebSocket(
    `${url.replace('http', 'ws')}/graphql?token=${SECRET}`,
    'graphql-transport-ws',
    { headers },
  );
  await once(socket, 'open');
  const closeEvent = once(socket, 'close');
  socket.send('{"type":"connection_init"}');
  expect((await closeEvent)[0]).toBe(4403);
  await expect.poll(() => printed.stdout, { timeout: 10_000 }).toContain('"msg":"connection closed"');
  program.child.kill('SIGTERM');
  await program.exited;
  expect(printed.stdout + printed.stderr).not.toContain(SECRET);
});

test(
  'every line names the node, and lines of a traced operation its trace',
  { timeout: 60_000 },
  async () => {
    await using folder = await createDataFolder();
    await using collector = await startTraceCollector();
    await using program = startProgram(SERVER_COMMAND, {
      ...PROGRAM_ENV,
      DATA_DIR: folder.path,
      HOST: '127.0.0.1',
      PORT: '0',
      NODE_NAME: 'one',
      NODE_OPTIONS: `--import ${join(ROOT, 'deploy/opentelemetry/otel.mjs')}`,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_TRACES_SAMPLER_ARG: '1',
    });
    const { printed } = program;
    const url = await waitUntilListening(program.child);
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const query = 'mutation { login(email: "ann@example.com", password: "wrong") { token } }';
    await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', traceparent: `00-${traceId}-b7ad6b7169203331-01` },
      body: JSON.stringify({ query }),
    });
    program.child.kill('SIGTERM');
    await program.exited;
    const [listening = {}, ...lines] = printed.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
    expect(lines.map(({ msg }) => msg)).toContain('draining');
    for (const line of lines) expect(line).toMatchObject({ node: listening['nodeId'], nodeName: 'one' });
    expect(lines.find(({ event }) => event === 'login failed')).toMatchObject({
      trace_id: traceId,
      span_id: expect.stringMatching(/^[\da-f]{16}$/) as unknown,
    });
  },
);
