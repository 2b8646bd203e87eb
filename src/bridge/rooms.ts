import { accessEndReason } from '../events/event.ts';
import type { DomainEvent, Envelope, Topic } from '../events/event.ts';
import type { Tails } from '../events/tail.ts';
import type { Frame } from './contract/encoders.ts';
import { framesOf, framesOfEphemeral } from './contract/event-frames.ts';
import { encodeEvent } from './engine-io/socket-io-parser.ts';
import type { EmittedChannel } from './contract/schemas.ts';
import { sharePacket } from './engine-io/broadcast-packet.ts';
import type { SharedPacket } from './engine-io/broadcast-packet.ts';
import type { ActorRef } from '../actor.ts';

/** A frame on its way to a room. */
export interface RoomFrame {
  readonly topic: Topic;
  /** The position of the event that it shows; undefined for what is not kept. */
  readonly seq: number | undefined;
  readonly channel: EmittedChannel;
  /** What members of a protocol of Engine.IO get. */
  packet(protocol: number): SharedPacket;
}

/** What is said to a connection, as far as rooms say it. */
export interface RoomQueue {
  /** Whether so much waits that what is not kept had better be left out. */
  readonly congested: boolean;
  /** Says it at once. */
  deliver(frame: RoomFrame): void;
  /** Keeps it for later; `entering` says that the connection is not in the room yet, and may never be. */
  hold(frame: RoomFrame, entering: boolean): void;
  /**
   * The connection is in the room from a position on: what was held for the entrance is its own, but for what is older.
   * What it was owed from before stays so, but for what it is told anew.
   */
  enter(topic: Topic, since: number, replayed: boolean): void;
  /** Lets go of what was held for an entrance to the topic, or to any, that came to nothing. */
  dropPendingJoin(topic?: Topic): void;
}

/** A connection, as rooms see it. */
export interface RoomMember {
  readonly actor: ActorRef | undefined;
  /** Whether an event of its own is under way, before whose answer it may hear nothing of a room. */
  readonly replying: boolean;
  readonly queue: RoomQueue;
  /** The server ends it, because it may have missed something. */
  onGap(): void;
}

/** A place in a room that is not taken yet. */
export interface PendingJoin {
  /**
   * Takes the place of one whose permission knows the topic up to `since`. False when it has ended after that. Who
   * was in the room already stays as it was, unless it is told anew everything up to there.
   */
  admit(since: number, replayed: boolean): boolean;
  cancel(): void;
}

export interface Rooms {
  /**
   * Begins to follow a topic for the member, who is not in its room before `admit`: what happens while the permission
   * is asked for is held, and ends the entrance if it ends the permission. Undefined when there is no such topic.
   */
  enter(topic: Topic, member: RoomMember): Promise<PendingJoin | undefined>;
  leave(topic: Topic, member: RoomMember): void;
  leaveAll(member: RoomMember): void;
  topicsOf(member: RoomMember): Topic[];
}

interface Waiting {
  readonly member: RoomMember;
  endedAt: number;
}

interface Room {
  readonly topic: Topic;
  /** Members, with the position from which on they hear the topic. */
  readonly members: Map<RoomMember, number>;
  readonly waiting: Set<Waiting>;
  /** Follows the topic until it is called; undefined when there is no such topic. */
  readonly unfollow: Promise<(() => void) | undefined>;
}

export interface RoomsOptions {
  readonly tails: Tails;
  /** Called for each frame that is said to members at once, with their number. */
  readonly onSent: (channel: string, members: number) => void;
}

/** The rooms of this node: one tail for each, and everybody's place in them. */
export function createRooms({ tails, onSent }: RoomsOptions): Rooms {
  const rooms = new Map<Topic, Room>();
  const joined = new Map<RoomMember, Set<Topic>>();

  const open = (topic: Topic): Room => {
    const follow = async (): Promise<(() => void) | undefined> => {
      const tail = await tails.open(topic);
      const unfollow = tail?.follow({
        event: (envelope) => deliver(room, envelope),
        ephemeral(ephemeral) {
          for (const frame of framesOfEphemeral(ephemeral, [])) send(room, frame, undefined);
        },
        gap() {
          for (const member of room.members.keys()) member.onGap();
          for (const { member } of room.waiting) member.onGap();
        },
      });
      return tail && (() => (unfollow?.(), tail.close()));
    };
    const room: Room = { topic, members: new Map(), waiting: new Set(), unfollow: follow() };
    rooms.set(topic, room);
    return room;
  };

  const closeIfEmpty = (room: Room): void => {
    if (room.members.size > 0 || room.waiting.size > 0 || rooms.get(room.topic) !== room) return;
    rooms.delete(room.topic);
    room.unfollow.then(
      (unfollow) => unfollow?.(),
      () => undefined,
    );
  };

  const deliver = (room: Room, { seq, event }: Envelope): void => {
    for (const frame of framesOf(event)) send(room, frame, seq);
    evict(room, seq, event);
  };

  const send = (room: Room, { channel, payload }: Frame, seq: number | undefined): void => {
    const frame = roomFrame(room.topic, seq, channel, payload);
    let reached = 0;
    for (const [member, since] of room.members) {
      const { queue, replying } = member;
      if (seq === undefined ? queue.congested : seq <= since) continue;
      if (replying) queue.hold(frame, false);
      else {
        queue.deliver(frame);
        reached += 1;
      }
    }
    // Of what is not kept, nothing from before the entrance is missed.
    if (seq !== undefined)
      for (const { member } of room.waiting) if (!room.members.has(member)) member.queue.hold(frame, true);
    if (reached > 0) onSent(channel, reached);
  };

  /** After the frame that says so: who is kicked sees the kick. */
  const evict = (room: Room, seq: number, event: DomainEvent): void => {
    const ends = ({ actor }: RoomMember) =>
      actor !== undefined && accessEndReason(actor, event) !== undefined;
    for (const place of room.waiting) if (ends(place.member)) place.endedAt = seq;
    for (const [member, since] of room.members) if (seq > since && ends(member)) leave(room.topic, member);
  };

  const leave = (topic: Topic, member: RoomMember): void => {
    const room = rooms.get(topic);
    if (room === undefined || !room.members.delete(member)) return;
    const topics = joined.get(member);
    if (topics?.delete(topic) === true && topics.size === 0) joined.delete(member);
    closeIfEmpty(room);
  };

  const admit = (room: Room, member: RoomMember, since: number, replayed: boolean): void => {
    if (room.members.has(member) && !replayed) return;
    member.queue.enter(room.topic, since, replayed);
    room.members.set(member, since);
    joined.set(member, (joined.get(member) ?? new Set()).add(room.topic));
  };

  return {
    async enter(topic, member) {
      const room = rooms.get(topic) ?? open(topic);
      const place: Waiting = { member, endedAt: 0 };
      room.waiting.add(place);
      const cancel = (): void => {
        if (!room.waiting.delete(place)) return;
        if (!room.members.has(member)) member.queue.dropPendingJoin(topic);
        closeIfEmpty(room);
      };
      try {
        // Followed before the permission is asked for: a removal that commits in between is seen by one of the two.
        if ((await room.unfollow) !== undefined) {
          return {
            cancel,
            admit(since, replayed) {
              const admitted = place.endedAt <= since;
              if (admitted) admit(room, member, since, replayed);
              cancel();
              return admitted;
            },
          };
        }
      } catch (error) {
        cancel();
        throw error;
      }
      cancel();
      return undefined;
    },
    leave,
    leaveAll(member) {
      for (const topic of joined.get(member) ?? []) leave(topic, member);
    },
    topicsOf: (member) => [...(joined.get(member) ?? [])],
  };
}

function roomFrame(
  topic: Topic,
  seq: number | undefined,
  channel: EmittedChannel,
  payload: unknown,
): RoomFrame {
  let packet: RoomFrame['packet'] | undefined;
  return {
    topic,
    seq,
    channel,
    packet: (protocol) => (packet ??= sharePacket(encodeEvent(channel, payload)))(protocol),
  };
}
