import { z } from 'zod';

// The schemas of the frames that legacy clients receive, and of the fields that they send. Documents are generated from
// them, and tests validate real frames with them. The server imports only their types, which type the encoders. Schemas do
// not determine the order of keys: the encoders do.

const id = z.int32().min(1).meta({ id: 'Id', description: 'A positive int32.' });

const date = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$/)
  .meta({
    id: 'Date',
    description: 'ISO 8601 in UTC without a zone, with microseconds if they are not zero.',
  });

const user = z
  .strictObject({
    id,
    email: z.string(),
    first_name: z.string(),
    last_name: z.string(),
    birthday: date.nullable().describe('Midnight of the day.'),
    created: date,
    updated: date,
    isOnline: z.boolean(),
    type: z.literal('DEFAULT'),
  })
  .meta({ id: 'User', description: 'A user. Note the spelling of `isOnline`.' });

const device = z
  .strictObject({
    id,
    name: z.string(),
    created: date,
    updated: date,
    circle_id: id,
    activated: z.boolean(),
    username: z.string(),
    is_online: z.boolean(),
  })
  .meta({ id: 'Device', description: 'A device. Note the spelling of `is_online`.' });

const content = {
  sent: date,
  read: z.null().describe('Always null.'),
  content: z.string().describe('The text; may be empty.'),
  medias: z.int32().min(0).describe('The number of its files.'),
};

const message = z
  .union([
    z.strictObject({ id, link_id: id.describe('The author as a participant, not as a user.'), ...content }),
    z.strictObject({ id, device_id: id, ...content }),
  ])
  .meta({
    id: 'Message',
    description: 'A message: of a user, with `link_id`; or of a device, with `device_id`.',
  });

const media = z
  .strictObject({
    id,
    filename: z.string().nullable().describe('Null until the upload.'),
    extension: z.string().nullable().describe('Null until the upload.'),
    identifier: z.string().describe('The name given in `files`.'),
    uploaded: z.enum(['True', 'False']).describe('A text, not a boolean.'),
  })
  .meta({ id: 'Media', description: 'A file of a message.' });

const sender = z.union([user, device]);
const email = z.string().describe('The e-mail address of a user.');
const inCircle = { circle_id: id };
const inConversation = { conversation_id: id };

const forwarded = z
  .strictObject({
    sender_id: id.describe('The user or device that sent it.'),
    is_device: z.boolean(),
    content: z
      .unknown()
      .describe('The forwarded payload: that of `webrtc_forward`, or any JSON of a GraphQL client.'),
  })
  .describe('Another client forwarded a payload.');

const iceServer = z.strictObject({ domain: z.string(), ip: z.literal(''), port: z.int().min(0).max(65_535) });

const joined = <Room extends 'la conversation : conversation' | 'le cercle : circle'>(
  room: Room,
  sample: number,
) =>
  z.templateLiteral([`Vous avez rejoins ${room}_`, z.int32()]).meta({
    description: 'The room is joined.',
    examples: [`Vous avez rejoins ${room}_${sample}`],
  });

/** The channels that legacy clients receive, with the schemas of their payloads. */
export const EMITTED = {
  success: {
    authenticated: z.literal('User authenticated').describe('The socket is authenticated.'),
    joinedConversation: joined('la conversation : conversation', 12),
    leftConversation: z.literal('Vous avez quitte la conversation').describe('The room is left.'),
    joinedCircle: joined('le cercle : circle', 3),
    leftCircle: z.literal('Vous avez quitte le cercle').describe('The room is left.'),
    received: z
      .strictObject({ received: z.literal(true), message_id: id })
      .meta({ description: 'The message is stored.', examples: [{ received: true, message_id: 40 }] }),
    writingSent: z.literal('Writing sent').describe('The room was notified.'),
    forwarded: z.literal('Message forwarded').describe('The payload was sent to the target.'),
  },
  error: {
    refused: z.string().describe('Why the event was rejected.'),
  },
  circle_invite: {
    invited: z
      .strictObject({ event: z.literal('invite'), ...inCircle, circle_invite_id: id })
      .describe('The user is invited to a circle.'),
  },
  circle: {
    member: z
      .strictObject({ event: z.enum(['join', 'quit', 'connect', 'disconnect']), user: email, ...inCircle })
      .describe('A user joins or leaves the circle, comes online or goes offline.'),
    kicked: z
      .strictObject({
        event: z.literal('kick'),
        user: email,
        from: email.describe('The e-mail address of the user who did it.'),
        ...inCircle,
      })
      .describe('A user is kicked from the circle.'),
    changed: z
      .strictObject({ event: z.enum(['update', 'delete']), ...inCircle })
      .describe('The circle is renamed or deleted.'),
    device: z
      .strictObject({
        event: z.literal('device'),
        type: z.enum(['update', 'connect', 'disconnect']),
        device_id: id,
        ...inCircle,
      })
      .describe('The device of the circle is renamed, comes online or goes offline.'),
  },
  'device created': {
    created: z.strictObject(inCircle).describe('A device is added to the circle.'),
  },
  conversation: {
    changed: z
      .strictObject({ event: z.enum(['update', 'invite', 'promoted']), ...inConversation })
      .describe('The conversation is renamed; or the user is invited to it, or becomes its administrator.'),
    left: z
      .strictObject({ event: z.literal('quit'), user: email, ...inConversation })
      .describe('A user leaves the conversation.'),
    kicked: z
      .strictObject({
        event: z.literal('kick'),
        user: email,
        from: email.describe('The e-mail address of the user who did it.'),
        ...inConversation,
      })
      .describe('A user is kicked from the conversation.'),
    device: z
      .strictObject({ event: z.literal('device'), type: z.enum(['add', 'remove']), ...inConversation })
      .describe('The device of the circle gains or loses access.'),
  },
  message: {
    done: z
      .strictObject({
        ...inConversation,
        message,
        time: date,
        sender,
        media_list: z.array(media),
        status: z.literal('done'),
      })
      .describe('A message without files.'),
    pending: z
      .strictObject({ ...inConversation, message, status: z.literal('pending') })
      .describe('A message whose files are not uploaded yet.'),
    fileArrived: z
      .strictObject({ ...inConversation, message, sender, media, status: z.literal('done') })
      .describe('A file of a message is uploaded, others are pending.'),
    lastFileArrived: z
      .strictObject({
        ...inConversation,
        message,
        time: date,
        sender,
        media_list: z.array(media),
        media,
        status: z.literal('done'),
      })
      .describe('The last file of a message is uploaded.'),
    changed: z
      .strictObject({ ...inConversation, message_id: id, event: z.enum(['update', 'delete']) })
      .describe('The text of a message is changed, or the message is deleted.'),
  },
  media: {
    announced: z.strictObject({ media_list: z.array(media), message_id: id }).meta({
      description: 'The pending files of the message, in the order of `files`.',
      examples: [
        {
          media_list: [
            { id: 60, filename: null, extension: null, identifier: 'cake.png', uploaded: 'False' },
          ],
          message_id: 40,
        },
      ],
    }),
  },
  writing: {
    user: z
      .strictObject({ ...inConversation, device: z.literal(false), user: email, is_writing: z.boolean() })
      .describe('A user starts or stops writing.'),
    device: z
      .strictObject({ ...inConversation, device: z.literal(true), is_writing: z.boolean() })
      .describe('The device of the circle starts or stops writing.'),
  },
  webrtc_forward: { forwarded },
  webrtc_config: {
    credentials: z.strictObject({ username: z.string(), password: z.string() }).meta({
      description: 'Credentials that the TURN servers accept for a limited time.',
      examples: [{ username: '1544177443:7False', password: 'D7jGzmLUBGO5UZB1FwzwZqEAJBw=' }],
    }),
    servers: z.array(iceServer).meta({
      description: 'The servers, one for each of their URLs.',
      examples: [[{ domain: 'webrtc.example.com', ip: '', port: 3478 }]],
    }),
    forwarded,
  },
};

/** A channel on which legacy clients receive frames. */
export type EmittedChannel = keyof typeof EMITTED;

type Shapes = { [Channel in EmittedChannel]: (typeof EMITTED)[Channel] };

/** The payloads that clients receive on a channel. */
export type PayloadOn<Channel extends EmittedChannel> = z.infer<Shapes[Channel][keyof Shapes[Channel]]>;

export type User = z.infer<typeof user>;
export type Device = z.infer<typeof device>;
export type Message = z.infer<typeof message>;
export type Media = z.infer<typeof media>;
export type Forwarded = z.infer<typeof forwarded>;
export type IceServer = z.infer<typeof iceServer>;

/** The types of fields that clients send. */
export const FIELD_TYPES = {
  int: z
    .union([id, z.string().regex(/^[0-9]{1,10}$/)])
    .meta({ id: 'IdOrDigits', description: 'An id, or its decimal digits as a string.' }),
  string: z.string(),
  bool: z.boolean(),
  'list of string': z.array(z.string()).nullable(),
};
