import { DomainError } from '../../errors.ts';
import { LegacyError } from './channel-types.ts';
import type { Channel, Field, ChannelError } from './channel-types.ts';
import * as handlers from './handlers.ts';

const UNKNOWN_SOCKET = 'Socket user introuvable';
const UNEXPECTED_ERROR = 'Erreur interne';

/** Also sent to a client whose session ends. */
export const USER_NOT_FOUND = 'User not found';

const conversationId: Field = {
  name: 'conversation_id',
  type: 'int',
  required: true,
  description: 'The conversation.',
};
const circleId: Field = { name: 'circle_id', type: 'int', required: true, description: 'The circle.' };

const notInConversation: ChannelError = {
  when: 'the id is unknown, or the account is not a participant of the conversation',
  text: 'Vous ne faite pas partie de cette conversation',
  codes: ['NOT_FOUND', 'FORBIDDEN'],
};

/** Defaults of a channel that needs a login. */
const defaults = {
  fields: [],
  otherFields: null,
  example: {},
  unauthenticatedError: UNKNOWN_SOCKET,
  missingFieldError: null,
  errors: [],
  notes: [],
};
/** Defaults of a channel that needs no login. */
const publicDefaults = { ...defaults, unauthenticatedError: null };

/** The listened channels, in the order of the original server's documentation. */
export const CHANNELS: readonly Channel[] = [
  {
    ...publicDefaults,
    name: 'authenticate',
    description: 'Authenticates the socket as an account.',
    fields: [{ name: 'token', type: 'string', required: true, description: 'A token of the account.' }],
    example: { token: 'eyJhbGciOiJIUzI1NiJ9…' },
    missingFieldError: 'Json web token introuvable',
    errors: [
      {
        when: 'the token is malformed, expired, revoked, or of an unknown account',
        text: USER_NOT_FOUND,
        codes: ['UNAUTHENTICATED'],
      },
    ],
    replies: [{ channel: 'success', shape: 'authenticated' }],
    notes: [
      'Tokens are those of the mutations `login`, `createAccount` and, for a device, `loginDevice`.',
      'No room is joined, and nothing else is sent.',
      'A second `authenticate` is accepted. With a token of the same account the joined rooms remain; with another account’s token they are left. From then on the socket ends with the session of the new token. A rejected one changes nothing.',
      'When the session ends (logout, expiry, deletion of the account), the socket receives `error` `"User not found"` once and is disconnected.',
    ],
    run: handlers.authenticate,
  },
  {
    ...defaults,
    name: 'join_conversation',
    description: 'Joins the room of a conversation.',
    fields: [
      conversationId,
      {
        name: 'after_message_id',
        type: 'int',
        required: false,
        description:
          'The last message that the client has received: every later frame of `message` is replayed to this socket only. Absent or null: no replay.',
      },
    ],
    example: { conversation_id: 12, after_message_id: 39 },
    missingFieldError: 'Parameter missing',
    errors: [
      { when: '`after_message_id` is neither an id nor null', text: 'Parameter missing', codes: [] },
      notInConversation,
      {
        when: 'the log has been trimmed beyond that message',
        text: 'Historique indisponible',
        codes: ['CURSOR_EXPIRED'],
      },
    ],
    replies: [
      { channel: 'success', shape: 'joinedConversation' },
      {
        channel: 'message',
        when: 'for each missed frame, before any new one, if `after_message_id` is given',
      },
    ],
    notes: [
      'Any `after_message_id` is accepted, even that of a deleted message or of another conversation: the replay starts after the newest message of this conversation with an id that is not greater, and includes changes of older messages. It may repeat frames that the client has already received.',
      'A client that loses its access is removed from the room after the frame that announces the loss. When a conversation ends because fewer than two participants remain, this is the last `quit` or `kick`; when its circle is deleted, only the room of the circle receives a frame.',
    ],
    run: handlers.joinConversation,
  },
  {
    ...defaults,
    name: 'leave_conversation',
    description: 'Leaves the room of a conversation, if joined.',
    fields: [conversationId],
    example: { conversation_id: 12 },
    missingFieldError: 'Parameter conversation_id missing',
    replies: [{ channel: 'success', shape: 'leftConversation' }],
    run: handlers.leaveConversation,
  },
  {
    ...defaults,
    name: 'join_circle',
    description: 'Joins the room of a circle.',
    fields: [circleId],
    example: { circle_id: 3 },
    unauthenticatedError: `${UNKNOWN_SOCKET}, vous devez vous authentifier`,
    missingFieldError: 'Parameter missing',
    errors: [
      {
        when: 'the id is unknown, or the account is not a member of the circle',
        text: "Vous n'appartenez pas a ce cercle",
        codes: ['NOT_FOUND', 'FORBIDDEN'],
      },
    ],
    replies: [{ channel: 'success', shape: 'joinedCircle' }],
    run: handlers.joinCircle,
  },
  {
    ...defaults,
    name: 'leave_circle',
    description: 'Leaves the room of a circle, if joined.',
    fields: [circleId],
    example: { circle_id: 3 },
    missingFieldError: 'Parameter circle_id missing',
    replies: [{ channel: 'success', shape: 'leftCircle' }],
    run: handlers.leaveCircle,
  },
  {
    ...defaults,
    name: 'message',
    description: 'Sends a message to a conversation. Its room need not be joined.',
    fields: [
      conversationId,
      {
        name: 'text_message',
        type: 'string',
        required: false,
        description: 'The text; empty if absent.',
      },
      {
        name: 'files',
        type: 'list of string',
        required: false,
        description: 'Names of the files that will be uploaded, at most 20. Null: none.',
      },
      {
        name: 'client_message_id',
        type: 'string',
        required: false,
        description:
          'An idempotency key, unique per account, of 1 to 200 characters: a repeated send, whatever its content, receives the `media` and `success` of the first and sends nothing to the room.',
      },
    ],
    example: { conversation_id: 12, text_message: 'Bonjour', files: ['cake.png'] },
    missingFieldError: 'Param conversation_id introuvable',
    errors: [
      { when: '`files` is neither a list nor null', text: 'Parameter missing', codes: [] },
      { when: 'the id is unknown', text: 'Conversation introuvable', codes: ['NOT_FOUND'] },
      {
        when: 'the account is not a participant of the conversation',
        text: 'Vous ne faites pas partie de cette conversation',
        codes: ['FORBIDDEN'],
      },
      {
        when: 'the text is longer than 8192 characters, there are more than 20 `files`, the name of one is longer than 1024, `client_message_id` is empty, longer than 200 or was used in another conversation, or one of them contains NUL or an unpaired surrogate',
        text: 'Message invalide',
        codes: ['INVALID_INPUT', 'CONFLICT'],
      },
    ],
    replies: [
      { channel: 'media', shape: 'announced', when: 'if `files` is a list, even an empty one' },
      { channel: 'success', shape: 'received' },
      { channel: 'message', when: 'if the socket is in the room' },
    ],
    notes: [
      'Each file is uploaded by `POST /media/upload/<id>`, with its id from `media_list`: a multipart form with the file in `file`, and the token in the header `authorization`. The file name of the form becomes `filename` and `extension`. A second upload of the same file replaces the first, and the room receives its frame again.',
    ],
    run: handlers.message,
  },
  {
    ...defaults,
    name: 'writing',
    description: 'Notifies the room of a conversation that the account started or stopped writing.',
    fields: [
      conversationId,
      { name: 'is_writing', type: 'bool', required: true, description: 'Whether the account is writing.' },
    ],
    example: { conversation_id: 12, is_writing: true },
    missingFieldError: 'Parameter missing',
    errors: [notInConversation],
    replies: [
      { channel: 'success', shape: 'writingSent' },
      { channel: 'writing', when: 'if the socket is in the room' },
    ],
    notes: [
      'The room receives `is_writing` false automatically when the account’s last connection to its node closes, when the account loses access to the conversation, and when it has not repeated `is_writing` true for 15 s.',
    ],
    run: handlers.writing,
  },
  {
    ...defaults,
    name: 'webrtc_credentials',
    description: 'Requests credentials for the TURN servers.',
    replies: [{ channel: 'webrtc_config', shape: 'credentials' }],
    run: handlers.webrtcCredentials,
  },
  {
    ...publicDefaults,
    name: 'webrtc_stun_info',
    description: 'Requests the STUN servers.',
    replies: [{ channel: 'webrtc_config', shape: 'servers' }],
    run: handlers.webrtcStunInfo,
  },
  {
    ...publicDefaults,
    name: 'webrtc_turn_info',
    description: 'Requests the TURN servers.',
    replies: [{ channel: 'webrtc_config', shape: 'servers' }],
    run: handlers.webrtcTurnInfo,
  },
  {
    ...defaults,
    name: 'webrtc_forward',
    description:
      'Forwards the whole payload to one account, which must share a circle with the caller. It may be the caller’s own.',
    fields: [
      {
        name: 'email',
        type: 'string',
        required: false,
        description: 'The user, by e-mail address; case-insensitive.',
      },
      {
        name: 'user_id',
        type: 'int',
        required: false,
        description: 'The user, by id; ignored if `email` is present.',
      },
      {
        name: 'device_id',
        type: 'int',
        required: false,
        description: 'The device, by id; ignored if one of the others is present.',
      },
    ],
    otherFields: 'Forwarded too; clients send call states in `message`.',
    example: { user_id: 8, message: 'CALLING' },
    errors: [
      {
        when: 'no target is given, or none that shares a circle',
        text: 'Utilisateur introuvable',
        codes: ['NOT_FOUND', 'FORBIDDEN'],
      },
      {
        when: 'the target has neither a connected socket that has authenticated nor a GraphQL subscription to `signals`',
        text: 'Destinataire non connecte aux websockets',
        codes: ['UNREACHABLE'],
      },
    ],
    replies: [{ channel: 'success', shape: 'forwarded', when: 'after it was sent to the target' }],
    run: handlers.webrtcForward,
  },
  ...['webrtc_join_room', 'webrtc_leave_room', 'webrtc_room_forward'].map((name) => ({
    ...publicDefaults,
    name,
    description: 'Does nothing, as in the original Flask-SocketIO server.',
    replies: [],
    run: handlers.ignore,
  })),
];

/** The errors of every channel, checked after its own. */
export const COMMON_ERRORS: readonly ChannelError[] = [
  {
    when: 'the account exceeds a rate limit',
    text: 'Trop de requetes',
    codes: ['RATE_LIMITED', 'LIMIT_EXCEEDED'],
  },
  { when: 'the session has ended', text: UNKNOWN_SOCKET, codes: ['UNAUTHENTICATED'] },
  { when: 'any other error occurs', text: UNEXPECTED_ERROR, codes: [] },
];

/** Returns the text that the client receives on `error`. */
export function findErrorText(channel: Channel, error: unknown): string {
  if (error instanceof LegacyError) return error.message;
  const code = error instanceof DomainError ? error.code : 'INTERNAL';
  return (
    [...channel.errors, ...COMMON_ERRORS].find(({ codes }) => codes.includes(code))?.text ?? UNEXPECTED_ERROR
  );
}
