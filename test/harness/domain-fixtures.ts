import * as eventLog from '../../src/db/event-log.ts';
import type { Circle, Conversation, User } from '../../src/db/tables.ts';
import * as users from '../../src/db/users.ts';
import * as circles from '../../src/domain/circles.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as devices from '../../src/domain/devices.ts';
import { DomainError } from '../../src/errors.ts';
import { accountTopic, toEnvelope } from '../../src/events/event.ts';
import type { DomainEvent, Topic } from '../../src/events/event.ts';
import { transact } from '../../src/events/unit-of-work.ts';
import type { EventStream } from '../../src/events/stream.ts';
import type { DeviceId } from '../../src/ids.ts';
import { actorKey } from '../../src/actor.ts';
import type { Session, ActorRef } from '../../src/actor.ts';

/** A new account. */
export const ANN = {
  email: 'ann@example.com',
  password: 'a secret',
  firstName: 'Ann',
  lastName: 'Lee',
  birthday: null,
};

export interface TestUser {
  readonly user: User;
  readonly actor: ActorRef & { readonly kind: 'user' };
  readonly email: string;
}

/** Creates an account without a password, which saves hashing one. */
export async function createUser(deps: Deps, name: string): Promise<TestUser> {
  const user = await transact(deps, async (unit) => {
    const created = await users.insert(unit.tx, {
      email: `${name}@example.com`,
      passwordHash: null,
      subject: null,
      firstName: name,
      lastName: 'Example',
      birthday: null,
    });
    if (created === undefined) throw new Error(`There already is a user ${name}.`);
    await unit.create(accountTopic({ kind: 'user', id: created.id }));
    return created;
  });
  return { user, actor: { kind: 'user', id: user.id }, email: user.email };
}

/** Creates the users one after the other, so that their ids are in the order of their names. */
export async function createUsers<const Names extends readonly string[]>(
  deps: Deps,
  ...names: Names
): Promise<{ readonly [Index in keyof Names]: TestUser }> {
  const created: TestUser[] = [];
  for (const name of names) created.push(await createUser(deps, name));
  return created as { readonly [Index in keyof Names]: TestUser };
}

/** Creates a circle with its ADMIN and its members. */
export async function createCircle(
  deps: Deps,
  admin: TestUser,
  ...members: readonly TestUser[]
): Promise<Circle> {
  const circle = await circles.createCircle(deps, admin.actor, { name: 'A circle' });
  for (const { actor, email } of members) {
    const invitation = await circles.inviteToCircle(deps, admin.actor, { circleId: circle.id, email });
    await circles.acceptInvitation(deps, actor, { invitationId: invitation.id });
  }
  return circle;
}

/** Creates a conversation in the circle with its ADMIN and its other participants. */
export async function createConversation(
  deps: Deps,
  circle: Circle,
  admin: TestUser,
  ...participants: readonly TestUser[]
): Promise<Conversation> {
  return conversations.createConversation(deps, admin.actor, {
    circleId: circle.id,
    name: 'A conversation',
    emails: participants.map(({ email }) => email),
  });
}

export async function createDevice(
  deps: Deps,
  circle: Circle,
  admin: TestUser,
): Promise<ActorRef & { readonly kind: 'device'; readonly id: DeviceId }> {
  const { device } = await devices.addDevice(deps, admin.actor, { circleId: circle.id, name: 'A device' });
  return { kind: 'device', id: device.id };
}

/** Creates a session that never expires. */
export const createSession = (actor: ActorRef): Session => ({
  actor,
  tokenId: `token of ${actorKey(actor)}`,
  issuedAt: null,
  expiresAt: Date.now() + 3_600_000,
});

/** Returns all events in the topic's log, including those that are not delivered to readers. */
export async function readEvents(deps: Deps, topic: Topic): Promise<DomainEvent[]> {
  const events: DomainEvent[] = [];
  for (let lastSeq = 0; ;) {
    const page = await eventLog.readAfter(deps.db, topic, lastSeq, 1000);
    const envelopes = (page?.entries ?? []).map(toEnvelope);
    events.push(...envelopes.map(({ event }) => event));
    const last = envelopes.at(-1);
    if (last === undefined) return events;
    lastSeq = last.seq;
  }
}

/** Returns the types of the events in the topic's log. */
export async function readEventTypes(deps: Deps, topic: Topic): Promise<string[]> {
  return (await readEvents(deps, topic)).map(({ type }) => type);
}

/** Reads a stream until the server ends it, and returns its events and its error. */
export async function readToEnd(stream: EventStream): Promise<{ events: DomainEvent[]; error: unknown }> {
  const events: DomainEvent[] = [];
  try {
    for await (const item of stream) if (item.type === 'event') events.push(item.event);
    return { events, error: undefined };
  } catch (error) {
    return { events, error };
  }
}

/** Waits for each promise, and returns `done` if it is fulfilled, otherwise the error code. */
export async function readOutcomes(promises: readonly Promise<unknown>[]): Promise<string[]> {
  const settled = await Promise.allSettled(promises);
  return settled.map((result) => (result.status === 'fulfilled' ? 'done' : errorCode(result.reason)));
}

/** Returns the error code of a rejected promise; `done` if it is fulfilled. */
export async function readErrorCode(promise: Promise<unknown>): Promise<string | undefined> {
  return (await readOutcomes([promise]))[0];
}

function errorCode(error: unknown): string {
  if (error instanceof DomainError) return error.code;
  throw error;
}
