import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Server as EngineServer, Socket as EngineSocket } from 'engine.io';
import { afterEach, expect, test, vi } from 'vitest';
import { createEngineIo, ENGINE_IO_LOOKED_AT } from '../../src/bridge/engine-io/server.ts';

// What the bridge relies on in packages beyond their documentation.

const ROOT = join(import.meta.dirname, '../..');

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version: string }>>;
}
const readJson = <Content>(path: string) => JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as Content;

afterEach(() => {
  vi.restoreAllMocks();
});

const create = () => createEngineIo({ transports: ['polling', 'websocket'] });

test('engine.io is the version whose inside was looked at: read the comment in transport.ts before this changes', () => {
  expect(readJson<{ version: string }>('node_modules/engine.io/package.json').version).toBe(
    ENGINE_IO_LOOKED_AT,
  );
});

test.for(['engine.io', 'socket.io', 'socket.io-parser', 'ws'])('%s is pinned to one version', (name) => {
  const { dependencies } = readJson<{ dependencies: Record<string, string> }>('package.json');
  expect(dependencies[name]).toMatch(/^\d+\.\d+\.\d+$/);
  expect(readJson<Lock>('package-lock.json').packages[`node_modules/${name}`]?.version).toBe(
    dependencies[name],
  );
});

test.for(['engine.io', 'socket.io-parser'])('there is only one %s', (name) => {
  const copies = Object.keys(readJson<Lock>('package-lock.json').packages).filter((path) =>
    path.endsWith(`node_modules/${name}`),
  );
  expect(copies).toEqual([`node_modules/${name}`]);
});

test('an engine with all that old clients need is created', () => {
  create().close();
});

test.for([
  ['createTransport', EngineServer.prototype],
  ['prepare', EngineServer.prototype],
  ['resetPingTimeout', EngineSocket.prototype],
  ['sendPacket', EngineSocket.prototype],
] as const)('an engine without %s is not started', ([name, owner]) => {
  const holder = Object.hasOwn(owner, name) ? owner : (Object.getPrototypeOf(owner) as object);
  const descriptor = Object.getOwnPropertyDescriptor(holder, name) as PropertyDescriptor;
  Reflect.deleteProperty(holder, name);
  try {
    expect(create).toThrow(`engine.io lacks what old clients need: ${name}`);
  } finally {
    Object.defineProperty(holder, name, descriptor);
  }
});

test('an engine that keeps the query of a request elsewhere is not started', () => {
  const engine: { prepare(): void } = EngineServer.prototype as never;
  vi.spyOn(engine, 'prepare').mockReturnValue();
  expect(create).toThrow('engine.io lacks what old clients need: request._query');
});

test.for(['encodePayload', 'encodePayloadAsBinary', 'decodePayload'])(
  'an engine whose parser has no %s is not started',
  (name) => {
    const engine: { createTransport(): { parser: object } } = EngineServer.prototype as never;
    const stock = engine.createTransport;
    vi.spyOn(engine, 'createTransport').mockImplementation(function (this: unknown, ...args: []) {
      const transport = stock.apply(this, args);
      transport.parser = { ...transport.parser, [name]: undefined };
      return transport;
    });
    expect(create).toThrow('engine.io lacks what old clients need: transport.parser');
  },
);

test.for(['socket', 'writable'])('an engine whose WebSockets have no %s is not started', (name) => {
  const engine: { createTransport(name: string): object } = EngineServer.prototype as never;
  const stock = engine.createTransport;
  vi.spyOn(engine, 'createTransport').mockImplementation(function (this: unknown, ...args: [string]) {
    const transport = stock.apply(this, args);
    if (args[0] === 'websocket') Reflect.deleteProperty(transport, name);
    return transport;
  });
  expect(create).toThrow(`engine.io lacks what old clients need: transport.${name}`);
});

test('an engine whose connections keep what waits elsewhere is not started', () => {
  const conn: { onOpen(): void } = EngineSocket.prototype as never;
  vi.spyOn(conn, 'onOpen').mockImplementation(function (this: object) {
    Reflect.deleteProperty(this, 'writeBuffer');
  });
  expect(create).toThrow('engine.io lacks what old clients need: writeBuffer');
});
