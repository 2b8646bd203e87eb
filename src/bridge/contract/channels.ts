import { DomainError } from '../../errors.ts';
import { LegacyError } from './channel-types.ts';
import type { Channel, Field, Refusal } from './channel-types.ts';
import * as requests from './handlers.ts';

const SOCKET_UNKNOWN = 'Socket user introuvable';
const UNEXPECTED = 'Erreur interne';

/** Said to a client whose session ends, too. */
export const USER_NOT_FOUND = 'User not found';

const conversationId: Field = {
  name: 'conversation_id',
  type: 'int',
  required: true,
  about: 'The conversation.',
};
const circleId: Field = { name: 'circle_id', type: 'int', required: true, about: 'The circle.' };

const notInConversation: Refusal = {
  when: 'the id is unknown, or the account takes no part in the conversation',
  text: 'Vous ne faite pas partie de cette conversation',
  codes: ['NOT_FOUND', 'FORBIDDEN'],
};

/** What every row has unless it says otherwise. */
const usual = {
  fields: [],
  others: null,
  example: {},
  anonymous: SOCKET_UNKNOWN,
  missing: null,
  refusals: [],
  notes: [],
};
const anyone = { ...usual, anonymous: null };

/** The listened channels, in the order of the original documentation. */
export const CHANNELS: readonly Channel[] = [
  {
    ...anyone,
    name: 'authenticate',
    about: 'Makes the socket that of an account.',
    fields: [{ name: 'token', type: 'string', required: true, about: 'A token of the account.' }],
    example: { token: 'eyJhbGciOiJIUzI1NiJ9…' },
    missing: 'Json web token introuvable',
    refusals: [
      {
        when: 'the token is malformed, expired, revoked, or of an unknown account',
        text: USER_NOT_FOUND,
        codes: ['UNAUTHENTICATED'],
      },
    ],
    answers: [{ channel: 'success', shape: 'authenticated' }],
    notes: [
      'Tokens are those of the mutations `login`, `createAccount` and, for a device, `loginDevice`.',
      'No room is joined and nothing else is sent.',
      'A second one is accepted: of the same account the rooms are kept, of another the former account’s are left. From then on the socket ends with the session of the new token. One that fails changes nothing.',
      'When the session ends (logout, expiry, deletion of the account) the socket gets `error` `"User not found"` once and is disconnected.',
    ],
    run: requests.authenticate,
  },
  {
    ...usual,
    name: 'join_conversation',
    about: 'Joins the room of a conversation.',
    fields: [
      conversationId,
      {
        name: 'after_message_id',
        type: 'int',
        required: false,
        about:
          'The last message that the client has: what was said after it on `message` is said again, to it alone. None, or null: nothing is.',
      },
    ],
    example: { conversation_id: 12, after_message_id: 39 },
    missing: 'Parameter missing',
    refusals: [
      { when: '`after_message_id` is neither an id nor null', text: 'Parameter missing', codes: [] },
      notInConversation,
      {
        when: 'what came after that message is not kept any more',
        text: 'Historique indisponible',
        codes: ['CURSOR_EXPIRED'],
      },
    ],
    answers: [
      { channel: 'success', shape: 'joinedConversation' },
      {
        channel: 'message',
        when: 'for each thing missed, before anything new, if `after_message_id` is given',
      },
    ],
    notes: [
      'Any `after_message_id` is taken, also of a message that is deleted or of another conversation: what is said again is what was said after the newest message of this conversation that is no newer, changes of older messages included. A client may have heard some of it.',
      'Whoever loses the right to be there leaves the room after the frame that says so. When a conversation ends because fewer than two are left in it, that frame is the last `quit` or `kick`; when its circle is deleted, only the room of the circle is told.',
    ],
    run: requests.joinConversation,
  },
  {
    ...usual,
    name: 'leave_conversation',
    about: 'Leaves the room of a conversation, if in it.',
    fields: [conversationId],
    example: { conversation_id: 12 },
    missing: 'Parameter conversation_id missing',
    answers: [{ channel: 'success', shape: 'leftConversation' }],
    run: requests.leaveConversation,
  },
  {
    ...usual,
    name: 'join_circle',
    about: 'Joins the room of a circle.',
    fields: [circleId],
    example: { circle_id: 3 },
    anonymous: `${SOCKET_UNKNOWN}, vous devez vous authentifier`,
    missing: 'Parameter missing',
    refusals: [
      {
        when: 'the id is unknown, or the account does not belong to the circle',
        text: "Vous n'appartenez pas a ce cercle",
        codes: ['NOT_FOUND', 'FORBIDDEN'],
      },
    ],
    answers: [{ channel: 'success', shape: 'joinedCircle' }],
    run: requests.joinCircle,
  },
  {
    ...usual,
    name: 'leave_circle',
    about: 'Leaves the room of a circle, if in it.',
    fields: [circleId],
    example: { circle_id: 3 },
    missing: 'Parameter circle_id missing',
    answers: [{ channel: 'success', shape: 'leftCircle' }],
    run: requests.leaveCircle,
  },
  {
    ...usual,
    name: 'message',
    about: 'Sends a message to a conversation. Its room need not be joined.',
    fields: [
      conversationId,
      { name: 'text_message', type: 'string', required: false, about: 'The text; none is the empty text.' },
      {
        name: 'files',
        type: 'list of string',
        required: false,
        about: 'Names of files that will be uploaded, at most 20. Null is none.',
      },
      {
        name: 'client_message_id',
        type: 'string',
        required: false,
        about:
          'Names the message among those of the account, in 1 to 200 characters: sending it again, with whatever content, answers the first `media` and `success` and says nothing to the room.',
      },
    ],
    example: { conversation_id: 12, text_message: 'Bonjour', files: ['cake.png'] },
    missing: 'Param conversation_id introuvable',
    refusals: [
      { when: '`files` is neither a list nor null', text: 'Parameter missing', codes: [] },
      { when: 'the id is unknown', text: 'Conversation introuvable', codes: ['NOT_FOUND'] },
      {
        when: 'the account takes no part in the conversation',
        text: 'Vous ne faites pas partie de cette conversation',
        codes: ['FORBIDDEN'],
      },
      {
        when: 'the text is longer than 8192 characters, there are more than 20 `files`, the name of one is longer than 1024, `client_message_id` is empty, longer than 200 or was used in another conversation, or one of them has NUL or half a surrogate pair in it',
        text: 'Message invalide',
        codes: ['INVALID_INPUT', 'CONFLICT'],
      },
    ],
    answers: [
      { channel: 'media', shape: 'announced', when: 'if `files` is a list, also an empty one' },
      { channel: 'success', shape: 'received' },
      { channel: 'message', when: 'if the socket is in the room' },
    ],
    notes: [
      'Each file is uploaded by `POST /media/upload/<id>`, with its id in `media_list`: a multipart form with the file as `file`, and the token in the header `authorization`. The name that the file has there becomes `filename` and `extension`. A second upload of the same file replaces the first, and the room is told again.',
    ],
    run: requests.message,
  },
  {
    ...usual,
    name: 'writing',
    about: 'Tells the room of a conversation that the account is writing, or no longer.',
    fields: [conversationId, { name: 'is_writing', type: 'bool', required: true, about: 'Whether it is.' }],
    example: { conversation_id: 12, is_writing: true },
    missing: 'Parameter missing',
    refusals: [notInConversation],
    answers: [
      { channel: 'success', shape: 'writingSent' },
      { channel: 'writing', when: 'if the socket is in the room' },
    ],
    notes: [
      'The room receives `is_writing` false by itself when the last connection of the account to its node closes, when the account loses the conversation, and when it has repeated nothing for 15 s.',
    ],
    run: requests.writing,
  },
  {
    ...usual,
    name: 'webrtc_credentials',
    about: 'Asks for credentials for the TURN servers.',
    answers: [{ channel: 'webrtc_config', shape: 'credentials' }],
    run: requests.webrtcCredentials,
  },
  {
    ...anyone,
    name: 'webrtc_stun_info',
    about: 'Asks for the STUN servers.',
    answers: [{ channel: 'webrtc_config', shape: 'servers' }],
    run: requests.webrtcStunInfo,
  },
  {
    ...anyone,
    name: 'webrtc_turn_info',
    about: 'Asks for the TURN servers.',
    answers: [{ channel: 'webrtc_config', shape: 'servers' }],
    run: requests.webrtcTurnInfo,
  },
  {
    ...usual,
    name: 'webrtc_forward',
    about:
      'Forwards the whole payload to one account, which must share a circle with the caller. It may be the caller’s own.',
    fields: [
      {
        name: 'email',
        type: 'string',
        required: false,
        about: 'The user, by e-mail address, in whatever case.',
      },
      { name: 'user_id', type: 'int', required: false, about: 'The user, by id, unless there is `email`.' },
      {
        name: 'device_id',
        type: 'int',
        required: false,
        about: 'The device, unless there is one of the others.',
      },
    ],
    others: 'Forwarded too; clients put a call in `message`.',
    example: { user_id: 8, message: 'CALLING' },
    refusals: [
      {
        when: 'no target is given, or none that shares a circle',
        text: 'Utilisateur introuvable',
        codes: ['NOT_FOUND', 'FORBIDDEN'],
      },
      {
        when: 'the target has neither a live socket that has authenticated nor a GraphQL subscription to `signals`',
        text: 'Destinataire non connecte aux websockets',
        codes: ['UNREACHABLE'],
      },
    ],
    answers: [{ channel: 'success', shape: 'forwarded', when: 'after the target was served' }],
    run: requests.webrtcForward,
  },
  ...['webrtc_join_room', 'webrtc_leave_room', 'webrtc_room_forward'].map((name) => ({
    ...anyone,
    name,
    about: 'Does nothing, as in the original.',
    answers: [],
    run: requests.nothing,
  })),
];

/** The refusals of every channel, looked at after its own. */
export const COMMON_REFUSALS: readonly Refusal[] = [
  { when: 'the account sends too much', text: 'Trop de requetes', codes: ['RATE_LIMITED', 'LIMIT_EXCEEDED'] },
  { when: 'the session ended in the meantime', text: SOCKET_UNKNOWN, codes: ['UNAUTHENTICATED'] },
  { when: 'anything else is wrong', text: UNEXPECTED, codes: [] },
];

/** What the client is told on `error`. */
export function refusalOf(channel: Channel, error: unknown): string {
  if (error instanceof LegacyError) return error.message;
  const code = error instanceof DomainError ? error.code : 'INTERNAL';
  return (
    [...channel.refusals, ...COMMON_REFUSALS].find(({ codes }) => codes.includes(code))?.text ?? UNEXPECTED
  );
}
