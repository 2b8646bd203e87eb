import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execute, parse, subscribe, validate } from 'graphql';
import type { ExecutionResult, GraphQLError } from 'graphql';
import { readConfig } from '../../src/config.ts';
import { createBatchedReads } from '../../src/db/batched-reads.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { createRateLimits } from '../../src/services/rate-limits.ts';
import { createPasswords } from '../../src/services/passwords.ts';
import { createPresence } from '../../src/services/presence.ts';
import { createSendBatcher } from '../../src/domain/send-batch.ts';
import { createFolderStorage } from '../../src/services/media-storage-fs.ts';
import { createTokens } from '../../src/services/tokens.ts';
import { createTypingPublisher } from '../../src/services/typing-publisher.ts';
import { DomainError } from '../../src/errors.ts';
import type { ErrorCode, ErrorDetails } from '../../src/errors.ts';
import { createBus } from '../../src/events/bus.ts';
import { createEventLog } from '../../src/db/event-log.ts';
import { createTails } from '../../src/events/tail.ts';
import { parseGlobalId } from '../../src/ids.ts';
import { createLogger } from '../../src/log.ts';
import { createContext } from '../../src/schema/context.ts';
import { schema } from '../../src/schema/index.ts';
import { RULES } from '../../src/schema/rules.ts';
import { testDatabase } from '../harness/database.ts';
import { countStatements } from '../harness/statements.ts';
import type { Session, ActorRef } from '../../src/actor.ts';

export type Data = Record<string, unknown>;
/** What a test reads out of an answer, without a type for each. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Answer = any;

/** The schema over a database, without any transport. */
export interface World extends AsyncDisposable {
  readonly deps: Deps;
  /** How many SQL statements there were since it was last set to 0. */
  readonly statements: { count: number };
  /** Runs an operation that must succeed and answers its data. */
  run(actor: ActorRef | null, document: string, variables?: Data): Promise<Answer>;
  /** Runs an operation that must be refused and answers how. */
  refused(
    actor: ActorRef | null,
    document: string,
    variables?: Data,
  ): Promise<{ code: ErrorCode } & ErrorDetails>;
  subscribe(
    actor: ActorRef | null,
    document: string,
    variables?: Data,
  ): Promise<AsyncGenerator<ExecutionResult>>;
  /** A new user. */
  user(name: string): Promise<ActorRef & { email: string }>;
}

export async function openWorld(): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const log = createLogger('silent');
  const { db: plain, epoch, kind } = await testDatabase();
  const counted = countStatements(plain);
  const { db } = counted;
  const dir = await mkdtemp(join(tmpdir(), 'parley-schema-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  const bus = createBus(log);
  const config = readConfig({ DATA_DIR: 'memory', LOG_LEVEL: 'silent', RATE_LIMITS: 'off' });
  const presence = stack.use(
    await createPresence({
      db: plain,
      bus,
      log,
      graceMs: 10,
      nodeId: 'one',
      isOnlyProcess: kind === 'pglite',
    }),
  );
  const deps: Deps = {
    db,
    bus,
    epoch,
    config,
    log,
    batchedReads: createBatchedReads(db),
    presence,
    tails: createTails({ eventLog: createEventLog(plain), bus, log }),
    tokens: createTokens({ secret: 'a secret of the tests' }),
    mediaStorage: await createFolderStorage(dir),
    rateLimits: createRateLimits({ enabled: false }),
    passwords: createPasswords({ cost: 4 }),
    lockedUsers: new Set(),
    sendBatcher: createSendBatcher({ db, bus }),
    typing: createTypingPublisher({ db, bus }),
  };
  const owned = stack.move();
  const contextOf = (actor: ActorRef | null) => createContext({ deps, session: actor && sessionOf(actor) });
  const argsOf = (actor: ActorRef | null, text: string, variables: Data = {}) => {
    const document = parse(text);
    const [invalid] = validate(schema, document, RULES);
    if (invalid !== undefined) throw invalid;
    return { schema, document, variableValues: variables, contextValue: contextOf(actor) };
  };
  const world: World = {
    deps,
    statements: counted,
    async run(actor: ActorRef | null, text: string, variables?: Data) {
      const { data, errors } = await execute(argsOf(actor, text, variables));
      if (errors !== undefined) throw causeOf(errors[0]);
      return plainCopy(data);
    },
    async refused(actor: ActorRef | null, text: string, variables?: Data) {
      const { errors } = await execute(argsOf(actor, text, variables));
      return refusalOf(errors?.[0]);
    },
    async subscribe(actor: ActorRef | null, text: string, variables?: Data) {
      const result = await subscribe(argsOf(actor, text, variables));
      if (!(Symbol.asyncIterator in result)) throw causeOf(result.errors?.[0]);
      return result as AsyncGenerator<ExecutionResult>;
    },
    async user(name: string) {
      const email = `${name.toLowerCase()}@example.com`;
      const input = { email, password: 'correct horse', firstName: name, lastName: 'Test' };
      const { createAccount } = await world.run(
        null,
        'mutation ($input: CreateAccountInput!) { createAccount(input: $input) { user { id } } }',
        { input },
      );
      return { ...actorOf(createAccount.user.id), email };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return world;
}

/** Null prototypes off, which only get in the way of comparing. */
const plainCopy = (data: unknown): Answer => JSON.parse(JSON.stringify(data));

const sessionOf = (actor: ActorRef): Session => ({
  actor,
  tokenId: 'test',
  issuedAt: null,
  expiresAt: Date.now() + 60_000,
});

export function actorOf(globalId: string): ActorRef {
  const parsed = parseGlobalId(globalId);
  if (parsed === undefined) throw new Error(`no actor: ${globalId}`);
  return { kind: parsed.type.toLowerCase(), id: parsed.id } as ActorRef;
}

const causeOf = (error: GraphQLError | undefined): Error =>
  error?.originalError ?? error ?? new Error('There is neither an answer nor an error');

function refusalOf(error: GraphQLError | undefined): { code: ErrorCode } & ErrorDetails {
  const cause = causeOf(error);
  if (cause instanceof DomainError) return { code: cause.code, ...cause.details };
  throw new Error(`Not refused: ${String(error)}`);
}
