import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { handlePacketsInTurns } from '../../src/bridge/engine-io/packet-turns.ts';
import { TurnClock } from '../../src/lib/turn-clock.ts';
import { encodePayload, encodeTextPayload, openPollingSession } from '../harness/engine-io.ts';
import type { PollingSession } from '../harness/engine-io.ts';
import { startEchoServer } from './echo-server.ts';
import type { EchoServer } from './echo-server.ts';

interface Packet {
  readonly type: string;
  readonly data?: string;
}

interface EngineSession {
  on(event: 'packet', listener: (packet: Packet) => void): void;
}

/** The texts of the handled packets, and each start of a turn of the event loop. */
let handled: string[];
let server: EchoServer;
let timer: NodeJS.Immediate;

const TURN = '(turn)';
const countTurn = (): void => {
  if (handled.at(-1) !== TURN) handled.push(TURN);
  timer = setImmediate(countTurn);
};

beforeEach(async () => {
  handled = [];
  countTurn();
  // Without a time for a turn: one packet is handled in each.
  const turnClock = new TurnClock(-1);
  server = await startEchoServer(undefined, (engine) => {
    handlePacketsInTurns(engine, { turnClock, flowOf: () => undefined });
    engine.on('connection', (session: EngineSession) => {
      session.on('packet', ({ type, data }) => handled.push(data ?? type));
    });
  });
});

afterEach(async () => {
  clearImmediate(timer);
  await server[Symbol.asyncDispose]();
});

const messages = (name: string, count = 4): string[] =>
  Array.from({ length: count }, (_, index) => `42["${name}",${index}]`);

const PROTOCOLS = {
  'EIO=3&b64=1': encodeTextPayload,
  'EIO=4': encodePayload,
} as const;

/** Opens a session that is connected to the namespace. */
async function openSession(query: string): Promise<PollingSession> {
  const session = await openPollingSession(server.url, query);
  // Clients of protocol 3 are connected by the server.
  if (query === 'EIO=4') await session.post('40');
  return session;
}

/** Posts packets. The promise has the response, and what had been handled when it arrived. */
async function post(
  session: PollingSession,
  body: string,
  type?: string,
): Promise<{ status: number; text: string; handled: readonly string[] }> {
  const { status, text } = await session.post(body, type);
  return { status, text, handled: handled.filter((entry) => entry !== TURN) };
}

const inTurns = (packets: readonly string[]): string[] =>
  packets.flatMap((packet, index) => (index === 0 ? [packet] : [TURN, packet]));

const handledBetween = (first: string, last: string): string[] =>
  handled.slice(handled.indexOf(first), handled.indexOf(last) + 1);

test.for(Object.entries(PROTOCOLS))(
  'the packets of a polling request are handled in turns, and then responded to: %s',
  async ([query, encode]) => {
    const session = await openSession(query);
    const packets = messages('a');
    const texts = packets.map((packet) => packet.slice(1));
    const response = await post(session, encode(packets));
    expect(response).toMatchObject({ status: 200, text: 'ok' });
    expect(response.handled.slice(-4)).toEqual(texts);
    expect(handledBetween(texts[0] ?? '', texts[3] ?? '')).toEqual(inTurns(texts));
  },
);

test('a JSONP request is responded to after its last packet', async () => {
  const session = await openPollingSession(server.url, 'EIO=3&j=0');
  const body = new URLSearchParams({ d: encodeTextPayload(messages('a')) });
  const response = await post(session, body.toString(), 'application/x-www-form-urlencoded');
  expect(response.handled.slice(-4)).toEqual(messages('a').map((packet) => packet.slice(1)));
});

test.for(Object.entries(PROTOCOLS))(
  'a second polling request is handled after the first: %s',
  async ([query, encode]) => {
    const session = await openSession(query);
    const [engineSession] = Object.values(
      (server.io.engine as unknown as { clients: Record<string, NodeJS.EventEmitter> }).clients,
    );
    const isFirstStarted = once(engineSession as NodeJS.EventEmitter, 'packet');
    const first = post(session, encode(messages('a', 200)));
    await isFirstStarted;
    const second = await post(session, encode(messages('b')));
    expect((await first).text).toBe('ok');
    expect(second.text).toBe('ok');
    expect(second.handled.slice(-204)).toEqual(
      [...messages('a', 200), ...messages('b')].map((packet) => packet.slice(1)),
    );
  },
);

test.for(Object.entries(PROTOCOLS))('packets behind a close are dropped: %s', async ([query, encode]) => {
  const session = await openSession(query);
  const response = await post(session, encode([...messages('a'), '1', ...messages('b')]));
  expect(response.handled.slice(-4)).toEqual(messages('a').map((packet) => packet.slice(1)));
  expect((await session.poll()).status).toBe(400);
});
