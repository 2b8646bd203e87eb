import { request } from 'node:http';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { logIn } from '../harness/demo-server.ts';
import { PROGRAM_ENV, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';
import { createRandom } from '../harness/random.ts';
import { createContent } from '../harness/resumable-uploads.ts';
import { startS3 } from '../harness/s3.ts';
import { openPiece, readOffset, sendPiece, startResumable } from '../harness/tus.ts';

const SEND = 'mutation { sendMessage(conversationId: "Conversation:1", files: ["a"]) { media { id } } }';
const MEDIA = 'query ($id: ID!) { node(id: $id) { ... on Media { url size } } }';
const START =
  'mutation ($id: ID!, $size: Float!) { startUpload(mediaId: $id, filename: "a.bin", size: $size) { ticket } }';
const RESUME = 'mutation ($ticket: String!) { resumeUpload(ticket: $ticket) { parts { offset size url } } }';
const FINISH = 'mutation ($ticket: String!) { finishUpload(ticket: $ticket) { size } }';
const SEED = Number(process.env['UPLOAD_SEED'] ?? 16);

interface Part {
  readonly offset: number;
  readonly size: number;
  readonly url: string;
}

/** Starts the program as `npm start` does, with a client of an account. */
async function start(dir: string, env: Record<string, string> = {}) {
  const program = startProgram(SERVER_COMMAND, {
    ...PROGRAM_ENV,
    PORT: '0',
    LOG_LEVEL: 'warn',
    RATE_LIMITS: 'off',
    DATA_DIR: dir,
    ...env,
  });
  const url = await waitUntilListening(program.child);
  const token = await logIn(url);
  const client = createGraphqlClient(url, token);
  const send = async () => {
    const { sendMessage } = await client.run<{ sendMessage: { media: { id: string }[] } }>(SEND);
    return sendMessage.media[0]?.id ?? '';
  };
  const download = async (id: string) => {
    const { node } = await client.run<{ node: { url: string } }>(MEDIA, { id });
    return Buffer.from(await (await fetch(url + node.url)).arrayBuffer());
  };
  return {
    sender: { url, token },
    client,
    send,
    download,
    async kill() {
      program.child.kill('SIGKILL');
      await program.exited;
    },
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}

test('an upload to a folder continues byte for byte after the server was killed, at any byte', async () => {
  const random = createRandom(SEED);
  await using dir = await createDataFolder();
  const content = createContent(3_000_000 + random(1_000));
  let upload: { id: string; path: string } | undefined;
  let confirmed = 0;
  for (let kills = 0; kills < 3; kills += 1) {
    await using server = await start(dir.path);
    const { sender } = server;
    if (upload === undefined) {
      const id = await server.send();
      upload = { id, path: await startResumable(sender, id, content.length) };
    }
    const offset = await readOffset(sender, upload.path);
    expect(offset).toBeGreaterThanOrEqual(confirmed);
    // A piece that is confirmed, and one that is interrupted.
    confirmed = offset + 1 + random((content.length - offset) / 2);
    await sendPiece(sender, upload.path, offset, content.subarray(offset, confirmed));
    const piece = openPiece(sender, upload.path, confirmed, content.length - confirmed);
    await piece.write(content.subarray(confirmed, confirmed + 1 + random(content.length - confirmed - 1)));
    await server.kill();
  }
  await using server = await start(dir.path);
  const { id = '', path = '' } = upload ?? {};
  const offset = await readOffset(server.sender, path);
  expect(offset).toBeGreaterThanOrEqual(confirmed);
  expect((await sendPiece(server.sender, path, offset, content.subarray(offset))).status).toBe(204);
  expect((await server.download(id)).equals(content)).toBe(true);
});

/** Sends a part, and closes the connection after so many bytes. */
async function cutPut({ url, offset, size }: Part, content: Buffer, bytes: number): Promise<void> {
  const sent = request(url, { method: 'PUT', headers: { 'content-length': size } });
  sent.write(content.subarray(offset, offset + bytes), () => sent.destroy());
  await expect(once(sent, 'response')).rejects.toThrow('socket hang up');
}

test('an upload to a bucket continues byte for byte after the server was killed, also while it finishes', async () => {
  const random = createRandom(SEED);
  await using bucket = await startS3();
  await using dir = await createDataFolder();
  const content = createContent(11_000_000 + random(1_000));
  const resume = async ({ client }: Awaited<ReturnType<typeof start>>, ticket: string) =>
    (await client.run<{ resumeUpload: { parts: Part[] } }>(RESUME, { ticket })).resumeUpload.parts;
  const put = async ({ url, offset, size }: Part) =>
    (await fetch(url, { method: 'PUT', body: content.subarray(offset, offset + size) })).status;
  let upload = { id: '', ticket: '' };
  {
    await using server = await start(dir.path, bucket.env);
    const id = await server.send();
    const variables = { id, size: content.length };
    const { startUpload } = await server.client.run<{ startUpload: { ticket: string } }>(START, variables);
    upload = { id, ticket: startUpload.ticket };
    const [first, second] = await resume(server, upload.ticket);
    if (first === undefined || second === undefined) throw new Error('Parts are missing');
    expect(await put(second)).toBe(200);
    await cutPut(first, content, 1 + random(first.size - 1));
    await server.kill();
  }
  {
    await using server = await start(dir.path, bucket.env);
    const rest = await resume(server, upload.ticket);
    expect(rest.map(({ offset }) => offset)).toEqual([0, 10_485_760]);
    for (const part of rest) expect(await put(part)).toBe(200);
    const finishing = server.client.run(FINISH, { ticket: upload.ticket });
    finishing.catch(() => undefined);
    await expect.poll(() => bucket.listPartUploads()).toEqual([]);
    await server.kill();
    await finishing.catch(() => undefined);
  }
  await using server = await start(dir.path, bucket.env);
  const finished = await server.client.run(FINISH, { ticket: upload.ticket });
  expect(finished).toEqual({ finishUpload: { size: content.length } });
  expect((await server.download(upload.id)).equals(content)).toBe(true);
});
