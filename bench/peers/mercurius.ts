// Peer: Mercurius as in its manual, with a loader per level and graphql-jit from the first request. It runs the same prepared
// statements as Parley on the same database, and verifies the same token.
import { createSecretKey } from 'node:crypto';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import { jwtVerify } from 'jose';
import pg from 'pg';
import { ACTIVE, CIRCLES, CONVERSATIONS, MESSAGES, PARTICIPANTS, USERS } from './mercurius-statements.ts';
import { listenPeer } from './serve.ts';

/** The part of Fastify in use. Its types are unavailable until the bench installs it. */
interface App {
  readonly server: Server;
  register(plugin: unknown, options: object): App;
  ready(): Promise<unknown>;
}

interface Row {
  readonly id: number;
}
type LoaderQueries<Source, Params = object> = readonly { readonly obj: Source; readonly params: Params }[];
type Conversation = Row & { readonly circle_id: number };
type Message = Row & { readonly conversation_id: number; readonly author_user_id: number };
type Participant = Row & { readonly conversation_id: number; readonly user_id: number };

const requireInstalled = createRequire(new URL('mercurius/', import.meta.url));
const fastify = requireInstalled('fastify') as () => App;
const mercurius: unknown = requireInstalled('mercurius');
const { AUTH_SECRET = '', DATABASE_URL = '' } = process.env;
const secret = createSecretKey(Buffer.from(AUTH_SECRET));

const { builtins } = pg.types;
const parsers = new Map<number, (text: string) => unknown>([
  [builtins.INT8, Number],
  [builtins.DATE, (text) => text],
  [builtins.TIMESTAMPTZ, (text) => new Date(text).toISOString()],
]);
const pool = new pg.Pool({
  connectionString: DATABASE_URL,
  max: 10,
  types: { getTypeParser: ((oid: number) => parsers.get(oid) ?? pg.types.getTypeParser(oid)) as never },
});

const names = new Map<string, string>();
async function query<Result>(text: string, values: unknown[]): Promise<Result[]> {
  const name = names.get(text) ?? `peer-${names.size}`;
  names.set(text, name);
  const { rows } = await pool.query({ name, text, values });
  return rows as Result[];
}

async function authenticate(authorization: string): Promise<number> {
  const { payload } = await jwtVerify(authorization.slice('Bearer '.length), secret, {
    algorithms: ['HS256'],
    requiredClaims: ['exp'],
  });
  const [active] = await query<Row>(ACTIVE, [payload.jti, (payload.iat ?? 0) * 1000, Number(payload.sub)]);
  if (active === undefined) throw new Error('The token is not valid.');
  return active.id;
}

async function loadUsers(ids: readonly number[]): Promise<(Row | undefined)[]> {
  const users = await query<Row>(USERS, ['user', [...new Set(ids)]]);
  const byId = new Map(users.map((user) => [user.id, user]));
  return ids.map((id) => byId.get(id));
}

const idsOf = (queries: LoaderQueries<Row>): number[] => queries.map(({ obj }) => obj.id);
const page = <Node>(nodes: readonly Node[] | undefined) => ({ nodes: nodes ?? [] });
const cache = false;

const loaders = {
  Circle: {
    conversations: {
      opts: { cache },
      async loader(queries: LoaderQueries<Row>, { caller }: { readonly caller: number }) {
        const rows = await query<Conversation>(CONVERSATIONS, [caller, idsOf(queries)]);
        const byCircle = Map.groupBy(rows, ({ circle_id }) => circle_id);
        return queries.map(({ obj }) => page(byCircle.get(obj.id)));
      },
    },
  },
  Conversation: {
    participants: {
      opts: { cache },
      async loader(queries: LoaderQueries<Row>) {
        const rows = await query<Participant>(PARTICIPANTS, [idsOf(queries)]);
        const byConversation = Map.groupBy(rows, ({ conversation_id }) => conversation_id);
        return queries.map(({ obj }) => page(byConversation.get(obj.id)));
      },
    },
    messages: {
      opts: { cache },
      async loader(queries: LoaderQueries<Row, { readonly last: number }>) {
        const last = queries[0]?.params.last ?? 20;
        const rows = await query<Message>(MESSAGES, [idsOf(queries), last + 1]);
        const byConversation = Map.groupBy(rows, ({ conversation_id }) => conversation_id);
        return queries.map(({ obj }) => page(byConversation.get(obj.id)?.slice(0, last).reverse()));
      },
    },
  },
  Message: {
    author: {
      opts: { cache },
      loader: (queries: LoaderQueries<Message>) => loadUsers(queries.map(({ obj }) => obj.author_user_id)),
    },
  },
  Participant: {
    user: {
      opts: { cache },
      loader: (queries: LoaderQueries<Participant>) => loadUsers(queries.map(({ obj }) => obj.user_id)),
    },
  },
};

const idOf =
  (type: string) =>
  ({ id }: Row) =>
    `${type}:${id}`;

const resolvers = {
  Query: {
    circles: async (_root: unknown, _args: object, { caller }: { readonly caller: number }) =>
      page(await query<Row>(CIRCLES, [caller])),
  },
  Circle: { id: idOf('Circle') },
  Conversation: { id: idOf('Conversation') },
  Message: { id: idOf('Message'), sentAt: ({ sent_at }: { readonly sent_at: string }) => sent_at },
  Actor: { resolveType: () => 'User' },
  User: {
    id: idOf('User'),
    firstName: ({ first_name }: { readonly first_name: string }) => first_name,
    isOnline: ({ online }: { readonly online: boolean }) => online,
  },
};

const app = fastify();
app.register(mercurius, {
  jit: 1,
  loaders,
  resolvers,
  context: async (request: { readonly headers: { readonly authorization: string } }) => ({
    caller: await authenticate(request.headers.authorization),
  }),
  schema: /* GraphQL */ `
    type Query {
      circles(first: Int): CircleConnection!
    }
    type CircleConnection {
      nodes: [Circle!]!
    }
    type Circle {
      id: ID!
      name: String!
      conversations(first: Int): ConversationConnection!
    }
    type ConversationConnection {
      nodes: [Conversation!]!
    }
    type Conversation {
      id: ID!
      name: String!
      participants(first: Int): ParticipantConnection!
      messages(last: Int): MessageConnection!
    }
    type ParticipantConnection {
      nodes: [Participant!]!
    }
    type Participant {
      role: ConversationRole!
      user: User!
    }
    enum ConversationRole {
      ADMIN
      STANDARD
    }
    type MessageConnection {
      nodes: [Message!]!
    }
    type Message {
      id: ID!
      text: String!
      sentAt: String!
      author: Actor
    }
    union Actor = User
    type User {
      id: ID!
      firstName: String!
      isOnline: Boolean!
    }
  `,
});
await app.ready();
listenPeer(app.server);
