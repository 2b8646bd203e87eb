import { expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { CONVERSATION_ID, logIn } from '../harness/demo-server.ts';
import { readMediaUrl } from '../harness/media.ts';
import { startServer } from '../harness/server.ts';
import { readOffset, uploadWithClient } from '../harness/tus.ts';

const PIECE_BYTES = 200_000;
const SEND = `mutation ($id: ID!) {
  sendMessage(conversationId: $id, text: "", files: ["film"]) { media { id } } }`;

test('an upload survives a crash of its node, byte for byte', { timeout: 60_000 }, async () => {
  await using server = await startServer({ DEMO: 'on' });
  const sender = { url: server.url, token: await logIn(server.url) };
  await using graphql = createGraphqlClient(sender.url, sender.token);
  const { sendMessage: sent } = await graphql.run<{ sendMessage: { media: { id: string }[] } }>(SEND, {
    id: CONVERSATION_ID,
  });
  const mediaId = sent.media[0]?.id ?? '';
  const content = Buffer.from(Uint8Array.from({ length: 1_000_000 }, (_byte, index) => index % 251));
  const upload = Promise.withResolvers<string>();
  const options = { chunkSize: PIECE_BYTES, metadata: { mediaId, filename: 'film.mp4' } };
  const crashed = uploadWithClient(sender, content, {
    ...options,
    retryDelays: null,
    onAfterResponse: (request, response) => {
      const location = response.getHeader('location');
      if (location !== undefined) upload.resolve(location);
    },
    onChunkComplete: (_size, accepted) => {
      if (accepted === 2 * PIECE_BYTES) void server.stop('SIGKILL');
    },
  });
  const path = await upload.promise;
  await expect(crashed).rejects.toThrow();
  await server.stop('SIGKILL');
  await server.start();
  expect(await readOffset(sender, path)).toBeGreaterThanOrEqual(2 * PIECE_BYTES);
  await uploadWithClient(sender, content, { ...options, uploadUrl: sender.url + path });
  const file = await fetch(await readMediaUrl(sender, { graphql }, mediaId));
  expect(Buffer.from(await file.arrayBuffer()).equals(content)).toBe(true);
});
