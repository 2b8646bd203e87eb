import { afterAll, beforeAll, describe, test } from 'vitest';
import type { TestGateway } from '../../../src/testing/index.ts';
import type { Cell, Check, Limit } from './check.ts';
import { openClient } from './client.ts';
import type { ClientKind, ClientOptions, Transport } from './client.ts';
import { connects, closed, heartbeats, reconnects } from './checks/connection.ts';
import { bytes, large, text } from './checks/content.ts';
import { hears } from './checks/emitted.ts';
import { acknowledges, sends } from './checks/listened.ts';
import { callScreen, chatScreen, device } from './checks/screens.ts';
import { createWorld } from './matrix-fixtures.ts';
import type { World } from './matrix-fixtures.ts';

export const TRANSPORTS: readonly Transport[] = ['polling', 'websocket', 'upgrade'];

export const CHECKS: readonly Check[] = [
  connects,
  sends,
  hears,
  acknowledges,
  text,
  large,
  bytes,
  heartbeats,
  reconnects,
  closed,
  chatScreen,
  callScreen,
  device,
];

/** What became of every check of every cell. */
export interface Findings {
  readonly kinds: string[];
  /** `undefined` for a check that passed without limits; nothing at all for one that failed or did not run. */
  set(kind: string, transport: Transport, check: string, limit: Limit | undefined): void;
  has(kind: string, transport: Transport, check: string): boolean;
  get(kind: string, transport: Transport, check: string): Limit | undefined;
}

export function createFindings(): Findings {
  const found = new Map<string, Limit | undefined>();
  const key = (...names: readonly string[]) => names.join('|');
  return {
    kinds: [],
    set: (kind, transport, check, limit) => void found.set(key(kind, transport, check), limit),
    has: (kind, transport, check) => found.has(key(kind, transport, check)),
    get: (kind, transport, check) => found.get(key(kind, transport, check)),
  };
}

/** Declares the tests of one kind of client: its cells beside each other, the checks of a cell one after the other. */
export function testClient(kind: ClientKind, app: () => TestGateway, findings: Findings): void {
  findings.kinds.push(kind.name);
  describe.concurrent.for(TRANSPORTS)(`${kind.name} over %s`, (transport) => {
    let world: World;
    beforeAll(async () => {
      world = await createWorld(app());
    });
    afterAll(async () => {
      await world[Symbol.asyncDispose]();
    });
    for (const check of CHECKS) {
      test(check.title, { concurrent: false }, async () => {
        const limit = await check.run(cellOf(world, kind, transport));
        findings.set(kind.name, transport, check.title, limit);
      });
    }
  });
}

function cellOf(world: World, kind: ClientKind, transport: Transport): Cell {
  const { app, bob, circle, talk } = world;
  const open = async (options: Partial<ClientOptions> = {}) => {
    const client = openClient(kind, {
      url: app.url,
      transport,
      reconnection: false,
      greeting: [],
      ...options,
    });
    await client.connected(1);
    if (transport === 'upgrade') await client.upgraded();
    return client;
  };
  return {
    ...world,
    kind,
    transport,
    open,
    async openInRooms() {
      const client = await open();
      await client.ask('authenticate', { token: bob.token });
      await client.ask('join_circle', { circle_id: circle.legacyId });
      await client.ask('join_conversation', talk);
      return client;
    },
  };
}
