import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { ROOT } from '../harness/program.ts';

// Tests src/output.ts: log lines reach standard output although its reader is slow, stops or disappears.

/** Logs a line before listening and 9 MB after, then waits until its input ends. */
const FLOOD = `
  import { openOutput } from '${ROOT}/src/output.ts';
  const { log, listening } = await openOutput('info');
  log.info('early');
  listening({}, '');
  for (let index = 0; index < 50_000; index += 1) log.info({ index, filling: 'x'.repeat(100) }, 'line');
  process.stderr.write('done');
  process.stdin.on('data', () => log.info('late')).on('end', () => process.exit(0));
`;

const startFlood = () => spawn(process.execPath, ['--input-type=module-typescript', '--eval', FLOOD]);

test('unread output does not block the program, and contains only complete lines once it is read', async () => {
  const child = startFlood();
  const exited = once(child, 'exit');
  await once(child.stderr, 'data');
  const output = text(child.stdout);
  let isLateLogged = false;
  child.stdout.on('data', (chunk: Buffer | string) => (isLateLogged ||= String(chunk).includes('"late"')));
  await expect.poll(() => child.stdin.write('x') && isLateLogged, { timeout: 10_000 }).toBe(true);
  child.stdin.end();
  const lines = (await output)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string; index?: number });
  expect(await exited).toEqual([0, null]);
  expect(lines.slice(0, 3)).toMatchObject([
    { msg: 'listening' },
    { msg: 'early' },
    { msg: 'line', index: 0 },
  ]);
  const indexes = lines.flatMap(({ index }) => index ?? []);
  expect(indexes).toEqual(Array.from(indexes, (_, position) => position));
  expect(indexes.length).toBeLessThan(50_000);
}, 60_000);

test('a closed output pipe does not end the program', async () => {
  const child = startFlood();
  child.stdout.destroy();
  await once(child.stderr, 'data');
  child.stdin.end();
  expect(await once(child, 'exit')).toEqual([0, null]);
}, 60_000);
