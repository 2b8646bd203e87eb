/**
 * The client state of a conversation and of its circle: a client queries a snapshot, subscribes after the snapshot's
 * `eventCursor`, and applies each event with this reducer. The oracle test compares the result with later queries.
 */

export interface MessageState {
  readonly id: string;
  readonly text: string;
  readonly status: string;
}

export interface ConversationState {
  readonly name: string;
  readonly deviceAccess: boolean;
  /** By e-mail, in the order of joining. A participant who may not invite others is STANDARD. */
  readonly participants: readonly { readonly email: string; readonly role: string }[];
  /** Oldest first. */
  readonly messages: readonly MessageState[];
}

export interface CircleState {
  readonly name: string;
  readonly members: readonly { readonly email: string; readonly role: string }[];
  readonly device: string | null;
}

/** An event of a durable subscription, as the documents of test/oracle/documents.ts select it. */
export interface DurableEvent {
  readonly __typename: string;
  readonly cursor: string;
  readonly message?: MessageState;
  readonly messageId?: string;
  readonly conversation?: { readonly name: string };
  readonly circle?: { readonly name: string };
  readonly user?: { readonly email: string };
  readonly device?: { readonly name: string };
  readonly allowed?: boolean;
}

type Member = { readonly email: string; readonly role: string };

const removeMember = (members: readonly Member[], email: string | undefined): Member[] =>
  members.filter((member) => member.email !== email);

/** Promotes the oldest member if there is no ADMIN. The server sends no event for it, as every client can derive it. */
function ensureAdmin(members: readonly Member[]): readonly Member[] {
  if (members.some(({ role }) => role === 'ADMIN')) return members;
  return members.map((member, index) => (index === 0 ? { ...member, role: 'ADMIN' } : member));
}

const replaceMessage = (messages: readonly MessageState[], message: MessageState): MessageState[] =>
  messages.map((current) => (current.id === message.id ? message : current));

export function applyToConversation(state: ConversationState, event: DurableEvent): ConversationState {
  const { participants, messages } = state;
  const { message, user } = event;
  switch (event.__typename) {
    case 'MessageSent':
      return message === undefined ? state : { ...state, messages: [...messages, message] };
    case 'MessageUpdated':
    case 'MediaUploaded':
      return message === undefined ? state : { ...state, messages: replaceMessage(messages, message) };
    case 'MessageDeleted':
      return { ...state, messages: messages.filter(({ id }) => id !== event.messageId) };
    case 'ConversationUpdated':
      return { ...state, name: event.conversation?.name ?? state.name };
    case 'DeviceAccessChanged':
      return { ...state, deviceAccess: event.allowed === true };
    case 'ParticipantJoined':
      return { ...state, participants: [...participants, { email: user?.email ?? '', role: 'STANDARD' }] };
    case 'ParticipantLeft':
    case 'ParticipantKicked':
      return { ...state, participants: ensureAdmin(removeMember(participants, user?.email)) };
    case 'ParticipantPromoted':
      return {
        ...state,
        participants: participants.map(({ email }) => ({
          email,
          role: email === user?.email ? 'ADMIN' : 'STANDARD',
        })),
      };
    default:
      return state;
  }
}

export function applyToCircle(state: CircleState, event: DurableEvent): CircleState {
  const { members } = state;
  switch (event.__typename) {
    case 'CircleUpdated':
      return { ...state, name: event.circle?.name ?? state.name };
    case 'MemberJoined':
      return { ...state, members: [...members, { email: event.user?.email ?? '', role: 'MEMBER' }] };
    case 'MemberLeft':
    case 'MemberKicked':
      return { ...state, members: ensureAdmin(removeMember(members, event.user?.email)) };
    case 'DeviceAdded':
    case 'DeviceUpdated':
      return { ...state, device: event.device?.name ?? null };
    case 'DeviceRemoved':
      return { ...state, device: null };
    default:
      return state;
  }
}
