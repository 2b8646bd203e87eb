import fc from 'fast-check';
import { expect } from 'vitest';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { waitUntil } from '../harness/waiting.ts';
import type { FakeBridge } from './fake-bridge.ts';

/** Steps that a generated history releases one at a time. */
export function createGates() {
  let waiting: (() => void)[] = [];
  let open = false;
  return {
    wait: () =>
      new Promise<void>((resolve) => {
        if (open) resolve();
        else waiting.push(resolve);
      }),
    next: () => waiting.shift()?.(),
    /** Lets everything through, also what is still to come. */
    open() {
      open = true;
      for (const resolve of waiting) resolve();
      waiting = [];
    },
  };
}

/** All that is on its way in either direction has arrived. */
export async function settle(fake: FakeBridge, client: PacketSocket): Promise<void> {
  if (client.socket.readyState !== client.socket.OPEN) return waitUntil(() => fake.opened === 0);
  client.send('2');
  await new Promise<void>((resolve) => {
    const done = (data?: Buffer) => {
      if (data !== undefined && data.toString() !== '3') return;
      client.socket.off('message', done).off('close', done);
      resolve();
    };
    client.socket.on('message', done).on('close', () => done());
  });
  await new Promise(setImmediate);
}

/** All frames that a client receives from now on. */
export function listen(client: PacketSocket): string[] {
  const heard: string[] = [];
  client.socket.on('message', (data: Buffer) => {
    if (data.toString() !== '3') heard.push(data.toString());
  });
  return heard;
}

/** Steps, after most of which what is on its way arrives before the next one. */
export const history = <Step extends string>(...steps: readonly Step[]) =>
  fc.array(fc.tuple(fc.constantFrom(...steps), fc.nat({ max: 2 })), { maxLength: 24 });

const positionOf = (packet: string) => Number(/"content":"at (\d+)"/.exec(packet)?.[1] ?? Number.NaN);

/** Log position at the permission check; `none` if it was refused. */
export type Permission = number | 'none';

interface Truth {
  /** One for each joining, in order. */
  readonly permissions: Permission[];
  readonly kicks: readonly number[];
  /** Positions that the client had no right to. */
  readonly secrets: ReadonlySet<number>;
  readonly end: number;
}

/** Checks the received room frames in order: at each point the next one is due, or none. */
export function requireWhole(heard: readonly string[], { permissions, kicks, secrets, end }: Truth): void {
  let next: number | undefined;
  /** Position of the newest permission check made while in the room. */
  let again = 0;
  for (const packet of heard) {
    if (packet.startsWith('42["success","Vous avez rejoins')) {
      const known = permissions.shift();
      expect(known).toBeTypeOf('number');
      if (next === undefined) next = Number(known) + 1;
      else again = Number(known);
    } else if (packet.startsWith('42["error"')) {
      const known = permissions.shift();
      // A join may fail after its permission check if a kick followed.
      if (known !== 'none') expect(Math.max(...kicks)).toBeGreaterThan(known ?? 0);
    } else if (packet.startsWith('42["success","Vous avez quitte')) {
      next = undefined;
    } else if (packet.includes('"event":"kick"')) {
      expect(kicks).toContain(next);
      // After a second join, frames resume after the position of that join.
      next = next !== undefined && again >= next ? again + 1 : undefined;
    } else if (packet.startsWith('42["message"')) {
      const position = positionOf(packet);
      expect(position).toBe(next);
      expect(secrets).not.toContain(position);
      next = position + 1;
    }
  }
  expect(permissions).toEqual([]);
  if (next !== undefined) expect(next).toBe(end + 1);
}
