import type { EndReason } from '../errors.ts';
import { accessEndReason } from '../events/event.ts';
import type { DomainEvent, Envelope, Topic } from '../events/event.ts';
import type { Tails } from '../events/tail.ts';
import type { Follower } from '../events/tail-source.ts';
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
  /** Position of its event in the topic's log; undefined for ephemeral events. */
  readonly seq: number | undefined;
  readonly channel: EmittedChannel;
  /** Returns the packet for members with this protocol of Engine.IO. */
  packet(protocol: number): BroadcastPacket;
}

/** The part of a connection's outbound queue that rooms use. */
export interface RoomQueue {
  /** Whether the client is too far behind for ephemeral frames. */
  readonly isCongested: boolean;
  /** Sends the frame immediately. */
  deliver(frame: RoomFrame): void;
  /**
   * Holds the frame until the event being handled has its reply. With `isJoining`, the frame is dropped unless the pending
   * join of its topic completes before.
   */
  hold(frame: RoomFrame, isJoining: boolean): void;
  /** Keeps the topic's held frames that the admission covers, and drops the others. */
  completeJoin(topic: Topic, admission: Admission): void;
  /** Drops frames held for a pending join of the topic, or of any topic. */
  dropPendingJoin(topic?: Topic): void;
}

/** A connection, as rooms see it. */
export interface RoomMember {
  readonly actor: ActorRef | undefined;
  /** Whether an event of the client is being handled: room frames are held until its reply is sent. */
  readonly isHandlingEvent: boolean;
  readonly queue: RoomQueue;
  /** Called when events of a room were lost for this node: the connection must close. */
  onGap(): void;
  /** Called when an event has ended the member's access and removed it from a room. */
  onEvicted(topic: Topic, reason: EndReason): void;
}

/** A granted permission to read a topic. */
export interface Admission {
  /** Seq of the topic at the permission check: the member receives the frames of later events. */
  readonly seq: number;
  /** Whether the member receives the `message` frames up to `seq` from a replay, and not from the room. */
  readonly replaysMessages: boolean;
}

/** A join whose permission is not known yet. */
export interface PendingJoin {
  /**
   * Adds the member to the room. Returns false if an event after the permission check has ended the permission. For a
   * member that is already in the room, has an effect only if it replays messages.
   */
  admit(admission: Admission): boolean;
  /** Ends the join. Does nothing after `admit`. */
  cancel(): void;
}

export interface Rooms {
  /**
   * Starts a join: holds the topic's frames for the member until `admit`, and notes an event that ends its permission.
   * Returns undefined if the topic does not exist.
   */
  startJoin(topic: Topic, member: RoomMember): Promise<PendingJoin | undefined>;
  /** Removes the member from the room. Returns false if it was not in the room. */
  leave(topic: Topic, member: RoomMember): boolean;
  /** Removes the member from all rooms. Returns their topics. */
  leaveAll(member: RoomMember): readonly Topic[];
  listTopics(member: RoomMember): Topic[];
}

interface JoiningMember {
  readonly member: RoomMember;
  /** Seq of the last event that ended its permission; 0 for none. */
  accessEndSeq: number;
}

interface Room {
  readonly topic: Topic;
  /** The members, each with the seq after which it receives frames. */
  readonly members: Map<RoomMember, number>;
  readonly joiningMembers: Set<JoiningMember>;
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
  const topicsByMember = new Map<RoomMember, Set<Topic>>();

  const openRoom = (topic: Topic): Room => {
    const followTopic = async (): Promise<(() => void) | undefined> => {
      const tail = await tails.open(topic);
      if (tail === undefined) return undefined;
      const follower: Follower = {
        onEvent: (envelope) => deliverEvent(room, envelope),
        onEphemeral(ephemeral) {
          for (const frame of framesOfEphemeral(ephemeral, [])) sendFrame(room, frame, undefined);
        },
        onGap() {
          for (const member of room.members.keys()) member.onGap();
          for (const { member } of room.joiningMembers) member.onGap();
        },
      };
      tail.follow(follower);
      return () => {
        tail.unfollow(follower);
        tail.close();
      };
    };
    const room: Room = { topic, members: new Map(), joiningMembers: new Set(), unfollow: followTopic() };
    rooms.set(topic, room);
    return room;
  };

  const closeRoomIfEmpty = (room: Room): void => {
    if (room.members.size > 0 || room.joiningMembers.size > 0 || rooms.get(room.topic) !== room) return;
    rooms.delete(room.topic);
    room.unfollow.then(
      (unfollow) => unfollow?.(),
      () => undefined,
    );
  };

  const deliverEvent = (room: Room, { seq, event }: Envelope): void => {
    for (const frame of framesOf(event)) sendFrame(room, frame, seq);
    // After the frame: a kicked member receives the kick.
    evictMembers(room, seq, event);
  };

  const sendFrame = (room: Room, { channel, payload }: Frame, seq: number | undefined): void => {
    const frame = createRoomFrame(room.topic, seq, channel, payload);
    let receivers = 0;
    for (const [member, joinSeq] of room.members) {
      const { queue, isHandlingEvent } = member;
      if (seq === undefined ? queue.isCongested : seq <= joinSeq) continue;
      if (isHandlingEvent) queue.hold(frame, false);
      else {
        queue.deliver(frame);
        receivers += 1;
      }
    }
    // A joining member must not receive ephemeral frames from before its join.
    if (seq !== undefined)
      for (const { member } of room.joiningMembers)
        if (!room.members.has(member)) member.queue.hold(frame, true);
    if (receivers > 0) onSent(channel, receivers);
  };

  const evictMembers = (room: Room, seq: number, event: DomainEvent): void => {
    const findEndReason = ({ actor }: RoomMember) => actor && accessEndReason(actor, event);
    for (const joiningMember of room.joiningMembers)
      if (findEndReason(joiningMember.member) !== undefined) joiningMember.accessEndSeq = seq;
    for (const [member, joinSeq] of room.members) {
      const reason = findEndReason(member);
      if (seq <= joinSeq || reason === undefined) continue;
      leave(room.topic, member);
      member.onEvicted(room.topic, reason);
    }
  };

  const leave = (topic: Topic, member: RoomMember): boolean => {
    const room = rooms.get(topic);
    if (room === undefined || !room.members.delete(member)) return false;
    const topics = topicsByMember.get(member);
    if (topics?.delete(topic) === true && topics.size === 0) topicsByMember.delete(member);
    closeRoomIfEmpty(room);
    return true;
  };

  const addMember = (room: Room, member: RoomMember, admission: Admission): void => {
    if (room.members.has(member) && !admission.replaysMessages) return;
    member.queue.completeJoin(room.topic, admission);
    room.members.set(member, admission.seq);
    topicsByMember.set(member, (topicsByMember.get(member) ?? new Set()).add(room.topic));
  };

  return {
    async startJoin(topic, member) {
      const room = rooms.get(topic) ?? openRoom(topic);
      const joiningMember: JoiningMember = { member, accessEndSeq: 0 };
      room.joiningMembers.add(joiningMember);
      const cancel = (): void => {
        if (!room.joiningMembers.delete(joiningMember)) return;
        if (!room.members.has(member)) member.queue.dropPendingJoin(topic);
        closeRoomIfEmpty(room);
      };
      try {
        // The topic is followed before the permission is checked: a removal that commits in between is then either found by
        // the check, or received as an event.
        if ((await room.unfollow) !== undefined) {
          return {
            cancel,
            admit(admission) {
              const isAllowed = joiningMember.accessEndSeq <= admission.seq;
              if (isAllowed) addMember(room, member, admission);
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
      const topics = [...(topicsByMember.get(member) ?? [])];
      for (const topic of topics) leave(topic, member);
      return topics;
    },
    listTopics: (member) => [...(topicsByMember.get(member) ?? [])],
  };
}

/** Creates a frame for a room. Its packet is encoded on first use, and shared by all members with the same protocol. */
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
