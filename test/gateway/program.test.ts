import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { chmod, mkdtemp, open, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import type { GraphqlClient } from '../../src/testing/index.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { logIn } from '../harness/demo-server.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { PROGRAM_ENV, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';
import type { Command, Program } from '../harness/program.ts';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';
import { sendPiece, startResumable } from '../harness/tus.ts';

const SEND_MESSAGE =
  'mutation ($text: String!) { sendMessage(conversationId: "Conversation:1", text: $text) { message { id } } }';
const LAST_MESSAGES = '{ conversation(id: "Conversation:1") { messages(last: 100) { nodes { text } } } }';
const SEND_FILE =
  'mutation { sendMessage(conversationId: "Conversation:1", files: ["a"]) { media { legacyId } } }';
const EVENTS = 'subscription { conversationEvents(conversationId: "Conversation:1") { __typename } }';

/** Starts the program as `npm start` does, on a free port. */
const runProgram = (env: Record<string, string>, command: Command = SERVER_COMMAND) =>
  startProgram(command, { ...PROGRAM_ENV, PORT: '0', LOG_LEVEL: 'warn', RATE_LIMITS: 'off', ...env });

const outputOf = ({ printed }: Program): string => printed.stdout + printed.stderr;

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'parley-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Starts the program in a mount namespace, with its data folder on a disk of this size. */
function runOnDisk(dir: string, size: string) {
  const script = 'mount -t tmpfs -o "size=$SIZE" disk "$DATA_DIR" && exec "$@"';
  const command: Command = [requireProgram('unshare'), '-rm', 'sh', '-c', script, 'sh', ...SERVER_COMMAND];
  const program = runProgram({ DATA_DIR: dir, SIZE: size }, command);
  return { ...program, disk: join(`/proc/${program.child.pid}/root`, dir) };
}

/** Fills the disk, and expects ENOSPC. */
async function fillDisk(disk: string): Promise<void> {
  await using filler = await open(join(disk, 'filler'), 'w');
  const writeUntilFull = async () => {
    for (;;) await filler.write(Buffer.alloc(65_536));
  };
  await expect(writeUntilFull()).rejects.toThrow('ENOSPC');
}

async function uploadFile(
  url: string,
  token: string,
  mediaId: number | undefined,
  bytes: number,
): Promise<number> {
  const body = new FormData();
  body.append('file', new Blob([randomBytes(bytes)]), 'file');
  const headers = { authorization: token };
  return (await fetch(`${url}/media/upload/${mediaId}`, { method: 'POST', headers, body })).status;
}

async function connectAnn(url: string) {
  const token = await logIn(url);
  return { token, client: createGraphqlClient(url, token) };
}

/** Returns the texts of the newest hundred messages. */
async function readLastTexts(client: GraphqlClient): Promise<string[]> {
  const { conversation } = await client.run<{ conversation: { messages: { nodes: { text: string }[] } } }>(
    LAST_MESSAGES,
  );
  return conversation.messages.nodes.map(({ text }) => text);
}

describe.skipIf(inject('database') !== 'pglite')('the program', () => {
  test('retains acknowledged messages and valid tokens when it is killed', async () => {
    await using dir = await createDataFolder();
    const texts: string[] = [];
    let token: string;
    {
      await using program = runProgram({ DATA_DIR: dir.path });
      const url = await waitUntilListening(program.child);
      const ann = await connectAnn(url);
      token = ann.token;
      const sends = (async () => {
        for (let index = 0; ; index += 1) {
          await ann.client.run(SEND_MESSAGE, { text: `m${index}` });
          texts.push(`m${index}`);
          if (index === 30) program.child.kill('SIGKILL');
        }
      })();
      await expect(sends).rejects.toThrow();
      await program.exited;
    }
    expect((await stat(join(dir.path, 'auth-secret'))).mode & 0o777).toBe(0o600);
    await using restarted = runProgram({ DATA_DIR: dir.path });
    await using client = createGraphqlClient(await waitUntilListening(restarted.child), token);
    const storedTexts = (await readLastTexts(client)).filter((text) => text.startsWith('m'));
    // One more may have been committed without its response being sent.
    expect(storedTexts.slice(0, texts.length)).toEqual(texts);
    expect(storedTexts.length - texts.length).toBeLessThanOrEqual(1);
  }, 60_000);

  test('keeps everything in the data folder private, whatever the umask and the permissions before', async () => {
    await using dir = await createDataFolder();
    // The embedded database ignores the umask for its caches in `pg_internal.init`; their folder is private.
    const listAll = async () =>
      (await readdir(dir.path, { recursive: true }))
        .filter((name) => !name.endsWith('.init'))
        .map((name) => join(dir.path, name));
    const listOpen = async () => {
      const paths = await listAll();
      const modes = await Promise.all(paths.map(async (path) => (await stat(path)).mode));
      return paths.filter((_path, index) => ((modes[index] ?? 0) & 0o077) !== 0);
    };
    const withOpenUmask: Command = ['sh', '-c', 'umask 000; exec "$@"', 'sh', ...SERVER_COMMAND];
    {
      await using program = runProgram({ DATA_DIR: dir.path }, withOpenUmask);
      await waitUntilListening(program.child);
    }
    expect(await listOpen()).toEqual([]);
    await chmod(dir.path, 0o755);
    for (const path of await listAll()) await chmod(path, 0o777);
    await using program = runProgram({ DATA_DIR: dir.path }, withOpenUmask);
    await waitUntilListening(program.child);
    expect((await listAll()).length).toBeGreaterThan(100);
    expect(await listOpen()).toEqual([]);
  }, 60_000);

  test('rejects the data folder of a running process, and states why', async () => {
    await using dir = await createDataFolder();
    await using first = runProgram({ DATA_DIR: dir.path });
    await waitUntilListening(first.child);
    await using second = runProgram({ DATA_DIR: dir.path });
    expect(await second.exited).toEqual([1, null]);
    expect(outputOf(second)).toMatch(/Another process has the data folder .* open/);
  }, 60_000);

  test('logs no error when a client aborts its request', async () => {
    await using dir = await createDataFolder();
    await using program = runProgram({ DATA_DIR: dir.path, DEMO: 'off' });
    const clientRequest = request(`${await waitUntilListening(program.child)}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    });
    const aborted = new Promise((resolve) => clientRequest.on('error', resolve));
    // Chunked, and larger than one read.
    await new Promise((resolve) => clientRequest.write('x'.repeat(500_000), resolve));
    clientRequest.destroy();
    await aborted;
    program.child.kill('SIGTERM');
    expect(await program.exited).toEqual([0, null]);
    expect(outputOf(program)).not.toMatch(/"level":[45]0/);
  }, 60_000);

  test('drains on SIGTERM: sockets close with 1012, streams receive no other end, and the exit code is 0', async () => {
    await using dir = await createDataFolder();
    await using program = runProgram({ DATA_DIR: dir.path });
    const url = await waitUntilListening(program.child);
    const ann = await connectAnn(url);
    await using socket = await openGraphqlSocket(url, { token: ann.token });
    socket.send({ id: '1', type: 'subscribe', payload: { query: EVENTS } });
    await socket.nextOf('next');
    program.child.kill('SIGTERM');
    expect(await socket.waitForClose()).toEqual({ code: 1012, reason: 'DRAINING' });
    expect(await program.exited).toEqual([0, null]);
  }, 60_000);

  test.skipIf(isMissing('unshare'))(
    'rejects writes while its disk is full, retains acknowledged messages, and accepts writes once there is space',
    async () => {
      await using dir = await temporaryFolder();
      await using program = runOnDisk(dir.path, '96m');
      const url = await waitUntilListening(program.child);
      const { client: ann, token } = await connectAnn(url);
      const { sendMessage } = await ann.run<{ sendMessage: { media: { legacyId: number }[] } }>(SEND_FILE);
      const mediaId = sendMessage.media[0]?.legacyId;

      const sender = { url, token };
      const upload = await startResumable(sender, String(mediaId), 1_000_000);
      await fillDisk(program.disk);
      expect(await uploadFile(url, token, mediaId, 1_000_000)).toBe(503);
      expect((await sendPiece(sender, upload, 0, Buffer.alloc(1_000_000))).status).toBe(503);
      expect(await readdir(join(program.disk, 'media'))).toEqual([basename(upload)]);
      const texts = await readLastTexts(ann);
      let code: unknown;
      while (code === undefined && texts.length < 100) {
        const text = `${texts.length} ${randomBytes(3_900).toString('hex')}`;
        const { errors } = await ann.send(SEND_MESSAGE, { text });
        if (errors === undefined) texts.push(text);
        code = errors?.[0]?.extensions?.['code'];
      }
      expect(code).toBe('UNAVAILABLE');
      expect((await fetch(`${url}/readyz`)).status).toBe(200);
      expect(await readLastTexts(ann)).toEqual(texts);

      await rm(join(program.disk, 'filler'));
      await ann.run(SEND_MESSAGE, { text: 'space again' });
      expect(await readLastTexts(ann)).toEqual([...texts, 'space again']);
      expect((await sendPiece(sender, upload, 0, Buffer.alloc(1_000_000))).status).toBe(204);
      expect(await uploadFile(url, token, mediaId, 1_000_000)).toBe(200);
    },
    60_000,
  );

  test('does not start with a truncated secret', async () => {
    await using dir = await createDataFolder();
    await writeFile(join(dir.path, 'auth-secret'), 'abc');
    await using program = runProgram({ DATA_DIR: dir.path });
    expect(await program.exited).toEqual([1, null]);
    expect(outputOf(program)).toMatch(/"msg":"Cannot sign tokens: the secret in .*auth-secret is too short/);
  }, 60_000);

  test.for([
    [
      { HOST: '203.0.113.9' },
      'Cannot listen on 203.0.113.9, port 0 (HOST, PORT): this machine has no such address (EADDRNOTAVAIL).',
    ],
    [
      { MEDIA_DIR: 'package.json' },
      'Cannot store media in package.json (MEDIA_DIR): a file with that name exists (EEXIST).',
    ],
    [
      { DATA_DIR: 'package.json' },
      'Cannot open the embedded database in package.json (DATA_DIR): a file with that name exists (EEXIST).',
    ],
    [
      { DATABASE_URL: 'postgres://ann:pass@localhost:1/parley', AUTH_SECRET: 'x'.repeat(32) },
      'Cannot open the database parley at localhost:1 (DATABASE_URL): connection refused (ECONNREFUSED).',
    ],
  ] as const)('reports why it cannot start, and the setting to change: %o', async ([env, message]) => {
    await using dir = await createDataFolder();
    await using program = runProgram({ DATA_DIR: dir.path, ...env });
    expect(await program.exited).toEqual([1, null]);
    expect(JSON.parse(outputOf(program))).toMatchObject({ level: 50, msg: message });
  });

  test('reports all invalid settings together, and does not start', async () => {
    await using program = runProgram({ PORT: 'x', DATABASE_URL: 'postgres://nowhere', TURN_TTL: '1' });
    expect(await program.exited).toEqual([1, null]);
    for (const name of ['PORT', 'TURN_TTL', 'AUTH_SECRET']) expect(outputOf(program)).toContain(`${name}:`);
  });
});
