import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Server as EngineServer, Socket as EngineSocket } from 'engine.io';
import { Server } from 'socket.io';
import { afterEach, expect, test, vi } from 'vitest';
import { createEngineIo } from '../../src/bridge/engine-io/server.ts';

// The start check of the private members of engine.io and socket.io. See docs/private-apis.md.

const ROOT = join(import.meta.dirname, '../..');

interface PackageLock {
  readonly packages: Readonly<Record<string, { readonly version: string }>>;
}
const readJson = <Content>(path: string) => JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as Content;

afterEach(() => {
  vi.restoreAllMocks();
});

const createEngine = () => createEngineIo({ transports: ['polling', 'websocket'] });

test.for(['engine.io', 'socket.io', 'socket.io-parser', 'ws'])('%s is pinned to one version', (name) => {
  const { dependencies } = readJson<{ dependencies: Record<string, string> }>('package.json');
  expect(dependencies[name]).toMatch(/^\d+\.\d+\.\d+$/);
  expect(readJson<PackageLock>('package-lock.json').packages[`node_modules/${name}`]?.version).toBe(
    dependencies[name],
  );
});

test.for(['engine.io', 'socket.io-parser'])('only one copy of %s is installed', (name) => {
  const copies = Object.keys(readJson<PackageLock>('package-lock.json').packages).filter((path) =>
    path.endsWith(`node_modules/${name}`),
  );
  expect(copies).toEqual([`node_modules/${name}`]);
});

test('an engine with all private members is created', () => {
  createEngine().close();
});

test.for([
  ['createTransport', EngineServer.prototype],
  ['prepare', EngineServer.prototype],
  ['resetPingTimeout', EngineSocket.prototype],
  ['sendPacket', EngineSocket.prototype],
] as const)('an engine.io without %s is rejected at start', ([name, owner]) => {
  const prototype = Object.hasOwn(owner, name) ? owner : (Object.getPrototypeOf(owner) as object);
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
  Reflect.deleteProperty(prototype, name);
  try {
    expect(createEngine).toThrow(`engine.io or socket.io lacks what legacy clients need: ${name}`);
  } finally {
    Object.defineProperty(prototype, name, descriptor);
  }
});

test('an engine.io that stores the query of a request elsewhere is rejected at start', () => {
  const engine: { prepare(): void } = EngineServer.prototype as never;
  vi.spyOn(engine, 'prepare').mockReturnValue();
  expect(createEngine).toThrow('engine.io or socket.io lacks what legacy clients need: request._query');
});

test.for(['encodePayload', 'encodePayloadAsBinary', 'decodePayload'])(
  'an engine.io whose parser has no %s is rejected at start',
  (name) => {
    const engine: { createTransport(): { parser: object } } = EngineServer.prototype as never;
    const { createTransport } = engine;
    vi.spyOn(engine, 'createTransport').mockImplementation(function (this: unknown, ...args: []) {
      const transport = createTransport.apply(this, args);
      transport.parser = { ...transport.parser, [name]: undefined };
      return transport;
    });
    expect(createEngine).toThrow('engine.io or socket.io lacks what legacy clients need: transport.parser');
  },
);

test.for(['socket', 'writable'])(
  'an engine.io whose WebSocket transports have no %s is rejected at start',
  (name) => {
    const engine: { createTransport(name: string): object } = EngineServer.prototype as never;
    const { createTransport } = engine;
    vi.spyOn(engine, 'createTransport').mockImplementation(function (this: unknown, ...args: [string]) {
      const transport = createTransport.apply(this, args);
      if (args[0] === 'websocket') Reflect.deleteProperty(transport, name);
      return transport;
    });
    expect(createEngine).toThrow(`engine.io or socket.io lacks what legacy clients need: transport.${name}`);
  },
);

test('an engine.io that queues packets elsewhere is rejected at start', () => {
  const conn: { onOpen(): void } = EngineSocket.prototype as never;
  vi.spyOn(conn, 'onOpen').mockImplementation(function (this: object) {
    Reflect.deleteProperty(this, 'writeBuffer');
  });
  expect(createEngine).toThrow('engine.io or socket.io lacks what legacy clients need: writeBuffer');
});

test('an engine.io that ignores encoded WebSocket frames is rejected at start', () => {
  const engine: { createTransport(name: string): object } = EngineServer.prototype as never;
  const { createTransport } = engine;
  vi.spyOn(engine, 'createTransport').mockImplementation(function (this: unknown, ...args: [string]) {
    const transport = createTransport.apply(this, args);
    return Object.assign(transport, { _canSendPreEncodedFrame: () => false });
  });
  expect(createEngine).toThrow(
    'engine.io or socket.io lacks what legacy clients need: options.wsPreEncodedFrame',
  );
});

test('an engine.io that holds the response to a polling request elsewhere is rejected at start', () => {
  const engine: { createTransport(name: string): object } = EngineServer.prototype as never;
  const { createTransport } = engine;
  vi.spyOn(engine, 'createTransport').mockImplementation(function (this: unknown, ...args: [string]) {
    const transport = createTransport.apply(this, args);
    return Object.defineProperty(transport, 'dataRes', { get: () => undefined, set() {} });
  });
  expect(createEngine).toThrow('engine.io or socket.io lacks what legacy clients need: transport.dataRes');
});

test('a socket.io that reads packets by another event is rejected at start', () => {
  vi.spyOn(Server.prototype, 'bind').mockReturnThis();
  expect(createEngine).toThrow('engine.io or socket.io lacks what legacy clients need: listeners of data');
});
