import type { GraphQLResolveInfo } from 'graphql';
import type { ActorRef } from '../actor.ts';
import type {
  Circle,
  CircleInvitation,
  Conversation,
  Device,
  Media,
  Membership,
  Message,
  Participant,
  User,
} from '../domain/models.ts';

/** Fields of a host, beside those of the gateway. */
export interface SchemaExtension {
  /**
   * SDL: `extend type <Type> { … }` for fields of object types of the gateway, `Query` and `Mutation` included, and types of
   * your own. A field of your own types has the value of the property with its name, or the result of the method.
   */
  readonly typeDefs: string;
  /** A resolver for each field that `typeDefs` adds to a type of the gateway. */
  readonly resolvers?: ExtensionResolvers;
}

/** By type, then by field. */
export type ExtensionResolvers = {
  readonly [Type in keyof ParentTypes]?: {
    readonly [field: string]: ExtensionResolver<ParentTypes[Type]> | ExtensionField<ParentTypes[Type]>;
  };
};

/** Returns the value of a field, or throws. An error without a `code` of docs/errors.md in its `extensions` is INTERNAL for clients. */
export type ExtensionResolver<Parent> = (
  parent: Parent,
  /** Typed by the parameter: the values of the arguments, as declared in `typeDefs`. */
  args: never,
  context: ExtensionContext,
  info: GraphQLResolveInfo,
) => unknown;

/** A resolver with options. */
export interface ExtensionField<Parent> {
  readonly resolve: ExtensionResolver<Parent>;
  /**
   * Whether the value is the same for every caller. The events of a subscription that selects another field are executed once
   * for each subscriber, and not once for all. Default: false.
   */
  readonly isShareable?: boolean;
  /** Whether clients without a token may select it; only for fields of `Query` and `Mutation`. Default: false. */
  readonly isPublic?: boolean;
  /** Cost of the field, where a field that reads a row costs 1; a list multiplies the cost of its selection by 4. Default: 1. */
  readonly complexity?: number;
}

/** The caller of an operation. */
export interface ExtensionContext {
  /** The account of the caller; null without a valid token. */
  readonly actor: ActorRef | null;
  /** The address of the caller's client; undefined in events that are executed for several callers. */
  readonly address: string | undefined;
  /** Aborted when the caller's connection or request ends. */
  readonly signal: AbortSignal | undefined;
  /** Returns the account of the caller. Throws UNAUTHENTICATED without a valid token. */
  requireActor(): ActorRef;
  /** Reads the object with this global id, as a value for a field of its type; null if the caller may not see it. */
  node(id: string): Promise<object | null>;
}

/** The types of the gateway that can have further fields, with the values that their resolvers receive. */
export interface ParentTypes {
  readonly Query: unknown;
  readonly Mutation: unknown;
  readonly User: Readonly<Pick<User, 'id' | 'email' | 'firstName' | 'lastName' | 'birthday'>>;
  readonly Device: Readonly<Pick<Device, 'id' | 'circleId' | 'name' | 'username'>>;
  readonly Circle: Readonly<Pick<Circle, 'id' | 'name'>>;
  readonly CircleMembership: Readonly<Pick<Membership, 'id' | 'circleId' | 'userId' | 'role'>>;
  readonly CircleInvitation: Readonly<Pick<CircleInvitation, 'id' | 'circleId'>>;
  readonly Conversation: Readonly<Pick<Conversation, 'id' | 'circleId' | 'name'>>;
  readonly Participant: Readonly<Pick<Participant, 'id' | 'conversationId' | 'userId' | 'role'>>;
  readonly Message: Readonly<Pick<Message, 'id' | 'conversationId' | 'text' | 'status'>>;
  readonly Media: Readonly<Pick<Media, 'id' | 'messageId' | 'filename' | 'contentType' | 'size'>>;
}
