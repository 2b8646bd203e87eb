import type { EndReason } from '../errors.ts';
import { accessEndReason } from '../events/event.ts';
import type { DomainEvent, Envelope, Topic } from '../events/event.ts';
import type { Tails } from '../events/tail.ts';
import type { Frame } from './contract/encoders.ts';
import { framesOf, framesOfEphemeral } from './contract/event-frames.ts';
import { encodeEvent } from './engine-io/socket-io-parser.ts';
import type { EmittedChannel } from './contract/frame-schemas.ts';
import { encodeBroadcast } from './engine-io/broadcast-packet.ts';
import type { BroadcastPacket } from './engine-io/broadcast-packet.ts';
import type { ActorRef } from '../actor.ts';

/** A frame that is sent to a room. */
export interface RoomFrame {
  readonly topic: Topic;
  /** Position of its event in the topic; undefined for ephemeral events. */
  readonly seq: number | undefined;
  readonly channel: EmittedChannel;
  /** Returns the packet for members with this protocol of Engine.IO. */
  packet(protocol: number): BroadcastPacket;
}

/** The part of a connection's outbound queue that rooms use. */
export interface RoomQueue {
  /** Whether so much is queued that ephemeral frames are dropped. */
  readonly congested: boolean;
  /** Sends the frame immediately. */
  deliver(frame: RoomFrame): void;
  /** Holds the frame until the present event is replied to, or until its pending join completes or is dropped. */
  hold(frame: RoomFrame, joining: boolean): void;
  /**
   * Admits the connection as of `since`. Keeps frames held while joining with a later seq and drops the rest. With
   * `replay`, also drops held `message` frames up to `since`: the replay sends them again.
   */
  completeJoin(topic: Topic, since: number, replay: boolean): void;
  /** Drops frames held for a pending join of the topic, or of any topic. */
  dropPendingJoin(topic?: Topic): void;
}

/** A connection, as rooms see it. */
export interface RoomMember {
  readonly actor: ActorRef | undefined;
  /** Whether an event of the client is being handled: room frames are held until its reply is sent. */
  readonly replying: boolean;
  readonly queue: RoomQueue;
  /** Called when events of a room were lost for this node: the connection must close. */
  onGap(): void;
  /** Called when an event has ended the member's access and removed it from a room. */
  onEvicted(topic: Topic, reason: EndReason): void;
}

/** A join whose permission is not known yet. */
export interface PendingJoin {
  /**
   * Adds the member to the room; `since` is the topic position of the permission check. Returns false if the permission
   * ended after it. A member that is in the room already stays as it is, unless it replays the topic up to `since`.
   */
  admit(since: number, replay: boolean): boolean;
  /** Ends the join. Does nothing after `admit`. */
  cancel(): void;
}

export interface Rooms {
  /**
   * Starts a join: holds the topic's frames for the member until `admit`, and notes an event that ends its permission.
   * Returns undefined if the topic does not exist.
   */
  startJoin(topic: Topic, member: RoomMember): Promise<PendingJoin | undefined>;
  /** Returns whether the member was in the room. */
  leave(topic: Topic, member: RoomMember): boolean;
  /** Removes the member from all rooms, and returns their topics. */
  leaveAll(member: RoomMember): readonly Topic[];
  topicsOf(member: RoomMember): Topic[];
}

interface JoiningMember {
  readonly member: RoomMember;
  /** Position of the last event that ended its permission; 0 for none. */
  endedAt: number;
}

interface Room {
  readonly topic: Topic;
  /** The topic position after which each member receives frames. */
  readonly members: Map<RoomMember, number>;
  readonly joining: Set<JoiningMember>;
  /** Stops following the topic; resolves to undefined if the topic does not exist. */
  readonly unfollow: Promise<(() => void) | undefined>;
}

export interface RoomsOptions {
  readonly tails: Tails;
  /** Called for each frame that is delivered immediately, with the number of receivers. */
  readonly onSent: (channel: string, receivers: number) => void;
}

/** Creates the rooms of this node. A room follows its topic by one tail, shared by all its members. */
export function createRooms({ tails, onSent }: RoomsOptions): Rooms {
  const rooms = new Map<Topic, Room>();
  const joined = new Map<RoomMember, Set<Topic>>();

  const open = (topic: Topic): Room => {
    const follow = async (): Promise<(() => void) | undefined> => {
      const tail = await tails.open(topic);
      const unfollow = tail?.follow({
        onEvent: (envelope) => deliver(room, envelope),
        onEphemeral(ephemeral) {
          for (const frame of framesOfEphemeral(ephemeral, [])) send(room, frame, undefined);
        },
        onGap() {
          for (const member of room.members.keys()) member.onGap();
          for (const { member } of room.joining) member.onGap();
        },
      });
      return tail && (() => (unfollow?.(), tail.close()));
    };
    const room: Room = { topic, members: new Map(), joining: new Set(), unfollow: follow() };
    rooms.set(topic, room);
    return room;
  };

  const closeIfEmpty = (room: Room): void => {
    if (room.members.size > 0 || room.joining.size > 0 || rooms.get(room.topic) !== room) return;
    rooms.delete(room.topic);
    room.unfollow.then(
      (unfollow) => unfollow?.(),
      () => undefined,
    );
  };

  const deliver = (room: Room, { seq, event }: Envelope): void => {
    for (const frame of framesOf(event)) send(room, frame, seq);
    // After the frame: a kicked member receives the kick.
    evict(room, seq, event);
  };

  const send = (room: Room, { channel, payload }: Frame, seq: number | undefined): void => {
    const frame = createRoomFrame(room.topic, seq, channel, payload);
    let receivers = 0;
    for (const [member, since] of room.members) {
      const { queue, replying } = member;
      if (seq === undefined ? queue.congested : seq <= since) continue;
      if (replying) queue.hold(frame, false);
      else {
        queue.deliver(frame);
        receivers += 1;
      }
    }
    // Ephemeral frames are not held: a joining member must not receive those from before its join.
    if (seq !== undefined)
      for (const { member } of room.joining) if (!room.members.has(member)) member.queue.hold(frame, true);
    if (receivers > 0) onSent(channel, receivers);
  };

  const evict = (room: Room, seq: number, event: DomainEvent): void => {
    const endReason = ({ actor }: RoomMember) => actor && accessEndReason(actor, event);
    for (const joining of room.joining) if (endReason(joining.member) !== undefined) joining.endedAt = seq;
    for (const [member, since] of room.members) {
      const reason = endReason(member);
      if (seq <= since || reason === undefined) continue;
      leave(room.topic, member);
      member.onEvicted(room.topic, reason);
    }
  };

  const leave = (topic: Topic, member: RoomMember): boolean => {
    const room = rooms.get(topic);
    if (room === undefined || !room.members.delete(member)) return false;
    const topics = joined.get(member);
    if (topics?.delete(topic) === true && topics.size === 0) joined.delete(member);
    closeIfEmpty(room);
    return true;
  };

  const admit = (room: Room, member: RoomMember, since: number, replay: boolean): void => {
    if (room.members.has(member) && !replay) return;
    member.queue.completeJoin(room.topic, since, replay);
    room.members.set(member, since);
    joined.set(member, (joined.get(member) ?? new Set()).add(room.topic));
  };

  return {
    async startJoin(topic, member) {
      const room = rooms.get(topic) ?? open(topic);
      const joining: JoiningMember = { member, endedAt: 0 };
      room.joining.add(joining);
      const cancel = (): void => {
        if (!room.joining.delete(joining)) return;
        if (!room.members.has(member)) member.queue.dropPendingJoin(topic);
        closeIfEmpty(room);
      };
      try {
        // The topic is followed before the permission is checked: one of the two sees a removal that commits in between.
        if ((await room.unfollow) !== undefined) {
          return {
            cancel,
            admit(since, replay) {
              const isAllowed = joining.endedAt <= since;
              if (isAllowed) admit(room, member, since, replay);
              cancel();
              return isAllowed;
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
      const topics = [...(joined.get(member) ?? [])];
      for (const topic of topics) leave(topic, member);
      return topics;
    },
    topicsOf: (member) => [...(joined.get(member) ?? [])],
  };
}

function createRoomFrame(
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
    packet: (protocol) => (packet ??= encodeBroadcast(encodeEvent(channel, payload)))(protocol),
  };
}
