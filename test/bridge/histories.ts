// Generators and checks of the property-based tests in random-histories.test.ts.

import fc from 'fast-check';
import { expect } from 'vitest';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { waitUntil } from '../harness/waiting.ts';
import type { FakeBridge } from './fake-bridge.ts';

/** Creates a gate that blocks its callers until they are released, one at a time or all. */
export function createGate() {
  let pending: (() => void)[] = [];
  let isOpen = false;
  return {
    wait: () =>
      new Promise<void>((resolve) => {
        if (isOpen) resolve();
        else pending.push(resolve);
      }),
    releaseNext: () => pending.shift()?.(),
    /** Releases every caller, including later ones. */
    open() {
      isOpen = true;
      for (const resolve of pending) resolve();
      pending = [];
    },
  };
}

/** Waits until every packet in flight, in either direction, has arrived. */
export async function flushPackets(fake: FakeBridge, client: PacketSocket): Promise<void> {
  if (client.socket.readyState !== client.socket.OPEN) return waitUntil(() => fake.connectionCount === 0);
  client.send('2');
  await new Promise<void>((resolve) => {
    const finish = () => {
      client.socket.off('message', onMessage).off('close', finish);
      resolve();
    };
    const onMessage = (data: Buffer) => {
      if (data.toString() === '3') finish();
    };
    client.socket.on('message', onMessage).on('close', finish);
  });
  await new Promise(setImmediate);
}

/** Records the packets that a client receives from now on, without pongs. */
export function recordPackets(client: PacketSocket): string[] {
  const received: string[] = [];
  client.socket.on('message', (data: Buffer) => {
    if (data.toString() !== '3') received.push(data.toString());
  });
  return received;
}

/** Generates histories of up to 24 steps. Two out of three steps are followed by a flush of the packets in flight. */
export const historyOf = <Step extends string>(...steps: readonly Step[]) =>
  fc.array(fc.tuple(fc.constantFrom(...steps), fc.nat({ max: 2 })), { maxLength: 24 });

const positionOf = (packet: string) => Number(/"content":"at (\d+)"/.exec(packet)?.[1] ?? Number.NaN);

/** Log position at the permission check of a join; `none` if it was rejected. */
export type Permission = number | 'none';

interface RoomHistory {
  /** One for each join, in order. */
  readonly permissions: Permission[];
  /** Positions of the kicks of the client. */
  readonly kicks: readonly number[];
  /** Positions at which the client had no access. */
  readonly forbidden: ReadonlySet<number>;
  /** The head of the room's log at the end. */
  readonly head: number;
}

/** Checks that the client received each frame of the room from its join to its leave or kick, in order, and no other. */
export function expectGaplessDelivery(received: readonly string[], history: RoomHistory): void {
  const { permissions, kicks, forbidden, head } = history;
  /** The position that is due next; undefined outside the room. */
  let next: number | undefined;
  /** Position of the newest permission check made while in the room. */
  let rejoinedAt = 0;
  for (const packet of received) {
    if (packet.startsWith('42["success","Vous avez rejoins')) {
      const permission = permissions.shift();
      expect(permission).toBeTypeOf('number');
      if (next === undefined) next = Number(permission) + 1;
      else rejoinedAt = Number(permission);
    } else if (packet.startsWith('42["error"')) {
      const permission = permissions.shift();
      // A join may fail after its permission check if a kick followed.
      if (permission !== 'none') expect(Math.max(...kicks)).toBeGreaterThan(permission ?? 0);
    } else if (packet.startsWith('42["success","Vous avez quitte')) {
      next = undefined;
    } else if (packet.includes('"event":"kick"')) {
      expect(kicks).toContain(next);
      // After a second join, frames resume after the position of that join.
      next = next !== undefined && rejoinedAt >= next ? rejoinedAt + 1 : undefined;
    } else if (packet.startsWith('42["message"')) {
      const position = positionOf(packet);
      expect(position).toBe(next);
      expect(forbidden).not.toContain(position);
      next = position + 1;
    }
  }
  expect(permissions).toEqual([]);
  if (next !== undefined) expect(next).toBe(head + 1);
}
