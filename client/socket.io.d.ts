// Generated from src/bridge/contract/channels.ts and src/bridge/contract/frame-schemas.ts by scripts/print-socket-io-types.ts.

/** An acknowledgement without arguments. */
export type Ack = () => void;

/** Every text that the server sends on `error`. */
export type ErrorText =
  | 'Json web token introuvable'
  | 'User not found'
  | 'Socket user introuvable'
  | 'Parameter missing'
  | 'Vous ne faite pas partie de cette conversation'
  | 'Historique indisponible'
  | 'Parameter conversation_id missing'
  | 'Socket user introuvable, vous devez vous authentifier'
  | 'Vous n\'appartenez pas a ce cercle'
  | 'Parameter circle_id missing'
  | 'Param conversation_id introuvable'
  | 'Conversation introuvable'
  | 'Vous ne faites pas partie de cette conversation'
  | 'Message invalide'
  | 'Utilisateur introuvable'
  | 'Destinataire non connecte aux websockets'
  | 'Trop de requetes'
  | 'Erreur interne';

/** A positive int32. */
export type Id = number;

/** A message: of a user, with `link_id`; or of a device, with `device_id`. */
export type Message = {
  readonly id: Id;
  /** The author as a participant, not as a user. */
  readonly link_id: Id;
  readonly sent: DateText;
  /** Always null. */
  readonly read: null;
  /** The text; may be empty. */
  readonly content: string;
  /** The number of its files. */
  readonly medias: number;
} | {
  readonly id: Id;
  readonly device_id: Id;
  readonly sent: DateText;
  /** Always null. */
  readonly read: null;
  /** The text; may be empty. */
  readonly content: string;
  /** The number of its files. */
  readonly medias: number;
};

/** ISO 8601 in UTC without a zone, with microseconds if they are not zero. */
export type DateText = string;

/** A user. Note the spelling of `isOnline`. */
export type User = {
  readonly id: Id;
  readonly email: string;
  readonly first_name: string;
  readonly last_name: string;
  /** Midnight of the day. */
  readonly birthday: DateText | null;
  readonly created: DateText;
  readonly updated: DateText;
  readonly isOnline: boolean;
  readonly type: 'DEFAULT';
};

/** A device. Note the spelling of `is_online`. */
export type Device = {
  readonly id: Id;
  readonly name: string;
  readonly created: DateText;
  readonly updated: DateText;
  readonly circle_id: Id;
  readonly activated: boolean;
  readonly username: string;
  readonly is_online: boolean;
};

/** A file of a message. */
export type Media = {
  readonly id: Id;
  /** Null until the upload. */
  readonly filename: string | null;
  /** Null until the upload. */
  readonly extension: string | null;
  /** The name given in `files`. */
  readonly identifier: string;
  /** A text, not a boolean. */
  readonly uploaded: 'True' | 'False';
};

/** An id, or its decimal digits as a string. */
export type IdOrDigits = Id | string;

/** The events that the server emits, for `Socket<ServerToClientEvents, ClientToServerEvents>` of socket.io-client. */
export interface ServerToClientEvents {
  /** The socket is authenticated. The room is joined. The room is left. The room is joined. The room is left. The message is stored. The room was notified. The payload was sent to the target. */
  success(payload: 'User authenticated' | `Vous avez rejoins la conversation : conversation_${number}` | 'Vous avez quitte la conversation' | `Vous avez rejoins le cercle : circle_${number}` | 'Vous avez quitte le cercle' | {
    readonly received: true;
    readonly message_id: Id;
  } | 'Writing sent' | 'Message forwarded'): void;
  /** Why the event was rejected. */
  error(payload: ErrorText): void;
  /** The user is invited to a circle. */
  circle_invite(payload: {
    readonly event: 'invite';
    readonly circle_id: Id;
    readonly circle_invite_id: Id;
  }): void;
  /** A user joins or leaves the circle, comes online or goes offline. A user is kicked from the circle. The circle is renamed or deleted. The device of the circle is renamed, comes online or goes offline. */
  circle(payload: {
    readonly event: 'join' | 'quit' | 'connect' | 'disconnect';
    /** The e-mail address of a user. */
    readonly user: string;
    readonly circle_id: Id;
  } | {
    readonly event: 'kick';
    /** The e-mail address of a user. */
    readonly user: string;
    /** The e-mail address of the user who did it. */
    readonly from: string;
    readonly circle_id: Id;
  } | {
    readonly event: 'update' | 'delete';
    readonly circle_id: Id;
  } | {
    readonly event: 'device';
    readonly type: 'update' | 'connect' | 'disconnect';
    readonly device_id: Id;
    readonly circle_id: Id;
  }): void;
  /** A device is added to the circle. */
  'device created'(payload: {
    readonly circle_id: Id;
  }): void;
  /** The conversation is renamed; or the user is invited to it, or becomes its administrator. A user leaves the conversation. A user is kicked from the conversation. The device of the circle gains or loses access. */
  conversation(payload: {
    readonly event: 'update' | 'invite' | 'promoted';
    readonly conversation_id: Id;
  } | {
    readonly event: 'quit';
    /** The e-mail address of a user. */
    readonly user: string;
    readonly conversation_id: Id;
  } | {
    readonly event: 'kick';
    /** The e-mail address of a user. */
    readonly user: string;
    /** The e-mail address of the user who did it. */
    readonly from: string;
    readonly conversation_id: Id;
  } | {
    readonly event: 'device';
    readonly type: 'add' | 'remove';
    readonly conversation_id: Id;
  }): void;
  /** A message without files. A message whose files are not uploaded yet. A file of a message is uploaded, others are pending. The last file of a message is uploaded. The text of a message is changed, or the message is deleted. */
  message(payload: {
    readonly conversation_id: Id;
    readonly message: Message;
    readonly time: DateText;
    readonly sender: User | Device;
    readonly media_list: readonly Media[];
    readonly status: 'done';
  } | {
    readonly conversation_id: Id;
    readonly message: Message;
    readonly status: 'pending';
  } | {
    readonly conversation_id: Id;
    readonly message: Message;
    readonly sender: User | Device;
    readonly media: Media;
    readonly status: 'done';
  } | {
    readonly conversation_id: Id;
    readonly message: Message;
    readonly time: DateText;
    readonly sender: User | Device;
    readonly media_list: readonly Media[];
    readonly media: Media;
    readonly status: 'done';
  } | {
    readonly conversation_id: Id;
    readonly message_id: Id;
    readonly event: 'update' | 'delete';
  }): void;
  /** The pending files of the message, in the order of `files`. */
  media(payload: {
    readonly media_list: readonly Media[];
    readonly message_id: Id;
  }): void;
  /** A user starts or stops writing. The device of the circle starts or stops writing. */
  writing(payload: {
    readonly conversation_id: Id;
    readonly device: false;
    /** The e-mail address of a user. */
    readonly user: string;
    readonly is_writing: boolean;
  } | {
    readonly conversation_id: Id;
    readonly device: true;
    readonly is_writing: boolean;
  }): void;
  /** Another client forwarded a payload. */
  webrtc_forward(payload: {
    /** The user or device that sent it. */
    readonly sender_id: Id;
    readonly is_device: boolean;
    /** The forwarded payload: that of `webrtc_forward`, or any JSON of a GraphQL client. */
    readonly content: unknown;
  }): void;
  /** Credentials that the TURN servers accept for a limited time. The servers, one for each of their URLs. Another client forwarded a payload. */
  webrtc_config(payload: {
    readonly username: string;
    readonly password: string;
  } | readonly {
    readonly domain: string;
    readonly ip: '';
    readonly port: number;
  }[] | {
    /** The user or device that sent it. */
    readonly sender_id: Id;
    readonly is_device: boolean;
    /** The forwarded payload: that of `webrtc_forward`, or any JSON of a GraphQL client. */
    readonly content: unknown;
  }): void;
}

/** The events that a client may emit. */
export interface ClientToServerEvents {
  /** Authenticates the socket as an account. */
  authenticate(payload: {
    /** A token of the account. */
    readonly token: string;
  }, ack?: Ack): void;
  /** Joins the room of a conversation. */
  join_conversation(payload: {
    /** The conversation. */
    readonly conversation_id: IdOrDigits;
    /** The last message that the client has received: every later frame of `message` is replayed to this socket only. Absent or null: no replay. */
    readonly after_message_id?: IdOrDigits | null | undefined;
  }, ack?: Ack): void;
  /** Leaves the room of a conversation, if joined. */
  leave_conversation(payload: {
    /** The conversation. */
    readonly conversation_id: IdOrDigits;
  }, ack?: Ack): void;
  /** Joins the room of a circle. */
  join_circle(payload: {
    /** The circle. */
    readonly circle_id: IdOrDigits;
  }, ack?: Ack): void;
  /** Leaves the room of a circle, if joined. */
  leave_circle(payload: {
    /** The circle. */
    readonly circle_id: IdOrDigits;
  }, ack?: Ack): void;
  /** Sends a message to a conversation. Its room need not be joined. */
  message(payload: {
    /** The conversation. */
    readonly conversation_id: IdOrDigits;
    /** The text; empty if absent. */
    readonly text_message?: string | null | undefined;
    /** Names of the files that will be uploaded, at most 20. Null: none. */
    readonly files?: readonly string[] | null | undefined;
    /** An idempotency key, unique per account, of 1 to 200 characters: a repeated send, whatever its content, receives the `media` and `success` of the first and sends nothing to the room. */
    readonly client_message_id?: string | null | undefined;
  }, ack?: Ack): void;
  /** Notifies the room of a conversation that the account started or stopped writing. */
  writing(payload: {
    /** The conversation. */
    readonly conversation_id: IdOrDigits;
    /** Whether the account is writing. */
    readonly is_writing: boolean;
  }, ack?: Ack): void;
  /** Requests credentials for the TURN servers. */
  webrtc_credentials(...parameters: [ack?: Ack] | [payload: Readonly<Record<string, unknown>>, ack?: Ack]): void;
  /** Requests the STUN servers. */
  webrtc_stun_info(...parameters: [ack?: Ack] | [payload: Readonly<Record<string, unknown>>, ack?: Ack]): void;
  /** Requests the TURN servers. */
  webrtc_turn_info(...parameters: [ack?: Ack] | [payload: Readonly<Record<string, unknown>>, ack?: Ack]): void;
  /** Forwards the whole payload to one account, which must share a circle with the caller. It may be the caller’s own. */
  webrtc_forward(payload: {
    /** The user, by e-mail address; case-insensitive. */
    readonly email?: string | null | undefined;
    /** The user, by id; ignored if `email` is present. */
    readonly user_id?: IdOrDigits | null | undefined;
    /** The device, by id; ignored if one of the others is present. */
    readonly device_id?: IdOrDigits | null | undefined;
    /** Forwarded too; clients send call states in `message`. */
    readonly [field: string]: unknown;
  }, ack?: Ack): void;
  /** Does nothing, as in the original Flask-SocketIO server. */
  webrtc_join_room(...parameters: [ack?: Ack] | [payload: Readonly<Record<string, unknown>>, ack?: Ack]): void;
  /** Does nothing, as in the original Flask-SocketIO server. */
  webrtc_leave_room(...parameters: [ack?: Ack] | [payload: Readonly<Record<string, unknown>>, ack?: Ack]): void;
  /** Does nothing, as in the original Flask-SocketIO server. */
  webrtc_room_forward(...parameters: [ack?: Ack] | [payload: Readonly<Record<string, unknown>>, ack?: Ack]): void;
}

/** The payload that a listener of a channel receives. */
export type Payload<Channel extends keyof ServerToClientEvents> = Parameters<ServerToClientEvents[Channel]>[0];
