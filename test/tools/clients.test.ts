import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { browserBundle, clientVersions, loadClient } from '../clients/load.ts';

const http = createServer();
const io = new Server(http, { allowEIO3: true });
let url: string;

beforeAll(async () => {
  io.on('connection', (socket) => {
    socket.on('message', (payload: unknown) => socket.emit('success', payload));
  });
  await new Promise<void>((resolve) => {
    http.listen(0, '127.0.0.1', resolve);
  });
  url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
});

afterAll(async () => {
  await io.close();
});

test.for(clientVersions)(
  'socket.io-client %s connects over websocket and receives a reply',
  async (version) => {
    const connect = loadClient(version);
    const socket = connect(url, { transports: ['websocket'], forceNew: true, reconnection: false });
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    socket.on('connect', () => socket.emit('message', { text: 'Hello', n: [1, null] }));
    socket.on('success', resolve);
    for (const event of ['connect_error', 'connect_timeout', 'error']) socket.on(event, reject);

    expect(await promise).toEqual({ text: 'Hello', n: [1, null] });
    expect(socket.io.engine.transport.name).toBe('websocket');
    expect(WebSocket).toBeTypeOf('function');
    socket.close();
  },
);

test.for(clientVersions)('socket.io-client %s has its browser script', (version) => {
  expect(existsSync(browserBundle(version))).toBe(true);
});

test('the landing page serves the client of 1.3.6 unmodified', async () => {
  const vendoredFile = new URL('../../src/page/vendor/socket.io-1.3.6.js', import.meta.url);
  expect((await readFile(vendoredFile)).equals(await readFile(browserBundle('1.3.6')))).toBe(true);
});
