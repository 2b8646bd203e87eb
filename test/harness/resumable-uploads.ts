import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { createGateway } from '../../src/testing/index.ts';
import type { GatewayOptions } from '../../src/testing/index.ts';
import { createAnnAndBob, sendMessage } from './ann-and-bob.ts';
import { startTestApp } from './app.ts';
import { readMediaUrl } from './media.ts';
import { openTcpProxy } from './tcp-proxy.ts';

/** A file whose bytes differ from each other at any distance that is not a multiple of 251. */
export const createContent = (size: number): Buffer<ArrayBuffer> =>
  Buffer.from(Uint8Array.from({ length: size }, (_byte, index) => index % 251));

/** Starts a gateway with a message of Ann whose file is declared. */
export async function startFixture(options: GatewayOptions = {}) {
  await using stack = new AsyncDisposableStack();
  const app = stack.use(
    await (options.database === undefined ? startTestApp(options) : createGateway(options)),
  );
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const { sendMessage: sent } = await sendMessage(ann, conversation, '', ['file']);
  const owned = stack.move();
  const mediaId = sent.media[0]?.id ?? '';
  return {
    app,
    ann,
    bob,
    conversation,
    mediaId,
    sender: { url: app.url, token: ann.token },
    other: { url: app.url, token: bob.token },
    download: async () =>
      Buffer.from(await (await fetch(await readMediaUrl(app, bob, mediaId))).arrayBuffer()),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Creates a folder for media. */
export async function createFolder() {
  const path = await mkdtemp(join(tmpdir(), 'parley-media-'));
  return {
    path,
    /** Returns how many bytes have been written of the only upload. */
    async size() {
      const [name = ''] = await readdir(path);
      return (await stat(join(path, name))).size;
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
}

/** Opens a proxy that loses connections, each once it has forwarded a million bytes and the server has written them. */
export async function openLossyProxy(
  url: string,
  { size }: Awaited<ReturnType<typeof createFolder>>,
  maxLosses: number,
) {
  /** Bytes that the server had written at each loss. */
  const written: number[] = [];
  let losses = 0;
  const lose = async (): Promise<void> => {
    losses += 1;
    proxy.mute();
    // All but the heads of requests is content.
    await expect.poll(size).toBeGreaterThan(losses * 1_000_000 - 10_000);
    written.push(await size());
    proxy.unmute();
    proxy.disconnectAll();
  };
  const proxy = await openTcpProxy(Number(new URL(url).port), () => {
    let forwarded = 0;
    return {
      onRequest(chunk) {
        const isLost = losses < maxLosses && forwarded < 1_000_000 && forwarded + chunk.length >= 1_000_000;
        forwarded += chunk.length;
        if (isLost) void lose();
        return true;
      },
      onResponse: (data) => ({ data, isLast: false }),
    };
  });
  return {
    url: `http://127.0.0.1:${proxy.port}`,
    written,
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  };
}
