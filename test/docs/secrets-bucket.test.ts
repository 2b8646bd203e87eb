import { describe, expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { CONVERSATION_ID, logIn } from '../harness/demo-server.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { PNG, readMediaUrl, uploadFile } from '../harness/media.ts';
import { startS3 } from '../harness/s3.ts';
import type { Server } from '../harness/server.ts';
import { readCommands, startDeployment } from './book.ts';
import { openSteps, runBesideLogins } from './rotation.ts';

// Rotates the key of the bucket with the commands of docs/operations/secrets.md, between uploads and downloads.

const SEND =
  'mutation ($id: ID!) { sendMessage(conversationId: $id, text: "", files: ["one.png"]) { media { id } } }';

/** Uploads a file through a node. Returns its id. */
async function upload(node: Server, token: string): Promise<string> {
  const { sendMessage } = await createGraphqlClient(node.url, token).run<{
    sendMessage: { media: readonly { readonly id: string }[] };
  }>(SEND, { id: CONVERSATION_ID });
  const id = sendMessage.media[0]?.id ?? '';
  await uploadFile(node, { token }, id, PNG, 'one.png');
  return id;
}

async function download(node: Server, token: string, id: string): Promise<Buffer> {
  const graphql = createGraphqlClient(node.url, token);
  const response = await fetch(await readMediaUrl(node, { graphql }, id));
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
}

describe.skipIf(isMissing('postgresql', 'curl'))('rotation', () => {
  test('the key of the bucket is replaced, and each node stores and serves files', async () => {
    await using stack = new AsyncDisposableStack();
    const s3 = stack.use(await startS3());
    const { nodes, run } = await startDeployment(stack, s3.env);
    const [first, second] = nodes;
    const step = await openSteps(run);
    const [command = ''] = await readCommands('secrets', 'Bucket key');
    const token = await logIn(first.url);
    const id = await upload(first, token);

    stack.use(s3.addKey('second', 'second-secret'));
    await runBesideLogins(nodes, logIn, () => step(`ID=second NEW=second-secret\n${command}`));
    stack.use(s3.suspendFirstKey());

    for (const node of nodes) expect(await download(node, token, id)).toEqual(PNG);
    for (const node of nodes) expect(await download(second, token, await upload(node, token))).toEqual(PNG);
  }, 300_000);
});
