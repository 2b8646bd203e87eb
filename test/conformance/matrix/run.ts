import { afterAll, beforeAll, describe, test } from 'vitest';
import type { TestGateway } from '../../../src/testing/index.ts';
import type { Cell, Check, Limitation } from './check.ts';
import { openClient } from './client.ts';
import type { ClientKind, ClientOptions, Transport } from './client.ts';
import { connectCheck, heartbeatCheck, reconnectCheck, serverDisconnectCheck } from './checks/connection.ts';
import { binaryCheck, largeTextCheck, textCheck } from './checks/content.ts';
import { receiveCheck } from './checks/emitted-channels.ts';
import { acknowledgementCheck, sendCheck } from './checks/listened-channels.ts';
import { callScreenCheck, chatScreenCheck, deviceCheck } from './checks/screens.ts';
import { createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';

export const TRANSPORTS: readonly Transport[] = ['polling', 'websocket', 'upgrade'];

export const CHECKS: readonly Check[] = [
  connectCheck,
  sendCheck,
  receiveCheck,
  acknowledgementCheck,
  textCheck,
  largeTextCheck,
  binaryCheck,
  heartbeatCheck,
  reconnectCheck,
  serverDisconnectCheck,
  chatScreenCheck,
  callScreenCheck,
  deviceCheck,
];

/** The results of every check of every cell that has passed. */
export interface MatrixResults {
  readonly kinds: string[];
  /** Records a check that passed, with the limitation that it found. */
  set(kind: string, transport: Transport, check: string, limitation: Limitation | undefined): void;
  /** Whether the check ran and passed. */
  has(kind: string, transport: Transport, check: string): boolean;
  get(kind: string, transport: Transport, check: string): Limitation | undefined;
}

export function createMatrixResults(): MatrixResults {
  const limitations = new Map<string, Limitation | undefined>();
  const keyOf = (...names: readonly string[]) => names.join('|');
  return {
    kinds: [],
    set: (kind, transport, check, limitation) =>
      void limitations.set(keyOf(kind, transport, check), limitation),
    has: (kind, transport, check) => limitations.has(keyOf(kind, transport, check)),
    get: (kind, transport, check) => limitations.get(keyOf(kind, transport, check)),
  };
}

/** Declares the tests of one kind of client: its cells run concurrently, the checks of a cell in order. */
export function testClientKind(kind: ClientKind, app: () => TestGateway, results: MatrixResults): void {
  results.kinds.push(kind.name);
  describe.concurrent.for(TRANSPORTS)(`${kind.name} over %s`, (transport) => {
    let fixture: Fixture;
    beforeAll(async () => {
      fixture = await createFixture(app());
    });
    afterAll(async () => {
      await fixture[Symbol.asyncDispose]();
    });
    for (const check of CHECKS) {
      test(check.title, { concurrent: false }, async () => {
        const limitation = await check.run(createCell(fixture, kind, transport));
        results.set(kind.name, transport, check.title, limitation);
      });
    }
  });
}

function createCell(fixture: Fixture, kind: ClientKind, transport: Transport): Cell {
  const { app, bob, circle, conversationRef } = fixture;
  const connect = async (options: Partial<ClientOptions> = {}) => {
    const client = openClient(kind, {
      url: app.url,
      transport,
      reconnection: false,
      framesOnConnect: [],
      ...options,
    });
    await client.waitForConnect(1);
    if (transport === 'upgrade') await client.waitForUpgrade();
    return client;
  };
  return {
    ...fixture,
    kind,
    transport,
    connect,
    async connectInRooms() {
      const client = await connect();
      await client.request('authenticate', { token: bob.token });
      await client.request('join_circle', { circle_id: circle.legacyId });
      await client.request('join_conversation', conversationRef);
      return client;
    },
  };
}
