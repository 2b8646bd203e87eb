import type { ServerResponse } from 'node:http';
import type { Server as EngineServer } from 'engine.io';
import type { TurnClock } from '../../lib/turn-clock.ts';
import { onTransport } from './internals.ts';
import type { Transport } from './internals.ts';
import type { PayloadParser } from './packet-limits.ts';

/** Handles a packet. Returns false if it closes the session: those behind it are dropped. */
type HandlePacket = (packet: object) => unknown;

export interface PacketTurnsOptions {
  readonly turnClock: TurnClock;
  /** Returns the account of the client of a transport; undefined while it is anonymous. */
  readonly flowOf: (transport: Transport) => string | undefined;
}

/**
 * Handles the packets of polling requests in turns of the event loop: engine.io handles the up to ten thousand packets of
 * a request in one. The response is sent after the last, and so the client sends nothing more before.
 */
export function handlePacketsInTurns(engine: EngineServer, options: PacketTurnsOptions): void {
  onTransport(engine, (transport) => {
    if (transport.socket === undefined) transport.parser = decodeInTurns(transport, options);
  });
}

function decodeInTurns(transport: Transport, { turnClock, flowOf }: PacketTurnsOptions): PayloadParser {
  const parser = transport.parser as PayloadParser;
  let running: Promise<void> | undefined;

  const handleInTurns = async (
    packets: Iterator<object>,
    handle: HandlePacket,
    before = running,
  ): Promise<void> => {
    await before;
    for (let next = packets.next(); next.done !== true; next = packets.next()) {
      if (turnClock.isOver()) await turnClock.nextTurn(flowOf(transport));
      if (transport.readyState !== 'open' || handle(next.value) === false) return;
    }
  };

  const handleAll = (packets: readonly object[], handle: HandlePacket): void => {
    const rest = packets.values();
    for (let handled = 0; running === undefined && !turnClock.isOver(); handled += 1) {
      const next = rest.next();
      if (next.done === true || handle(next.value) === false) return;
    }
    const work = handleInTurns(rest, handle);
    running = work;
    respondAfter(work, transport.dataRes);
    void work.finally(() => {
      if (running === work) running = undefined;
    });
  };

  return {
    ...parser,
    // engine.io passes a callback to the parser of protocol 3, and iterates over the result of that of protocol 4.
    decodePayload(payload, callback) {
      if (callback === undefined) {
        const packets = parser.decodePayload(payload) as readonly object[];
        return { forEach: (handle: HandlePacket) => handleAll(packets, handle) };
      }
      const packets: object[] = [];
      parser.decodePayload(payload, (packet) => void packets.push(packet));
      handleAll(packets, callback);
      return undefined;
    },
  };
}

/** Delays the end of the response. engine.io ends it when the parser returns. */
function respondAfter(work: Promise<void>, response: ServerResponse | null | undefined): void {
  if (response == null) return;
  const end = response.end.bind(response) as (body?: string) => ServerResponse;
  response.end = (body?: unknown): ServerResponse => {
    void work.then(() => end(body as string));
    return response;
  };
}
