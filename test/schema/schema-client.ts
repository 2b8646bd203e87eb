import { execute, parse, subscribe, validate } from 'graphql';
import type { ExecutionResult, GraphQLError } from 'graphql';
import type { Deps } from '../../src/domain/deps.ts';
import { DomainError } from '../../src/errors.ts';
import type { ErrorCode, ErrorDetails } from '../../src/errors.ts';
import { parseGlobalId } from '../../src/ids.ts';
import { createContext } from '../../src/schema/context.ts';
import { schema } from '../../src/schema/index.ts';
import { RULES } from '../../src/schema/rules.ts';
import { createTestDeps } from '../harness/deps.ts';
import { countStatements } from '../harness/statements.ts';
import type { Session, ActorRef } from '../../src/actor.ts';

export type Data = Record<string, unknown>;
/** The data of a response, untyped: tests read what they selected. */
// oxlint-disable-next-line typescript/no-explicit-any
export type ResponseData = any;

/** Executes operations on the schema, without a transport, over the emptied database of the worker. */
export interface SchemaClient extends AsyncDisposable {
  readonly deps: Deps;
  /** The number of SQL statements since `count` was last set to 0. */
  readonly statements: { count: number };
  /** Runs an operation and returns its data. Throws if it has errors. */
  run(actor: ActorRef | null, document: string, variables?: Data): Promise<ResponseData>;
  /** Runs an operation that must fail, and returns the code and details of its first error. */
  expectError(
    actor: ActorRef | null,
    document: string,
    variables?: Data,
  ): Promise<{ code: ErrorCode } & ErrorDetails>;
  subscribe(
    actor: ActorRef | null,
    document: string,
    variables?: Data,
  ): Promise<AsyncGenerator<ExecutionResult>>;
  /** Creates a user with the given first name. */
  createUser(name: string): Promise<ActorRef & { email: string }>;
}

export async function openSchemaClient(): Promise<SchemaClient> {
  await using stack = new AsyncDisposableStack();
  let statements: { count: number } = { count: 0 };
  const deps = stack.use(
    await createTestDeps({
      wrapDb(db) {
        const counter = countStatements(db);
        statements = counter;
        return counter.db;
      },
    }),
  );
  const resources = stack.move();
  const contextOf = (actor: ActorRef | null) => createContext({ deps, session: actor && sessionOf(actor) });
  const argsOf = (actor: ActorRef | null, text: string, variables: Data = {}) => {
    const document = parse(text);
    const [validationError] = validate(schema, document, RULES);
    if (validationError !== undefined) throw validationError;
    return { schema, document, variableValues: variables, contextValue: contextOf(actor) };
  };
  const client: SchemaClient = {
    deps,
    statements,
    async run(actor: ActorRef | null, text: string, variables?: Data) {
      const { data, errors } = await execute(argsOf(actor, text, variables));
      if (errors !== undefined) throw causeOf(errors[0]);
      return plainCopy(data);
    },
    async expectError(actor: ActorRef | null, text: string, variables?: Data) {
      const { errors } = await execute(argsOf(actor, text, variables));
      return failureOf(errors?.[0]);
    },
    async subscribe(actor: ActorRef | null, text: string, variables?: Data) {
      const result = await subscribe(argsOf(actor, text, variables));
      if (!(Symbol.asyncIterator in result)) throw causeOf(result.errors?.[0]);
      return result as AsyncGenerator<ExecutionResult>;
    },
    async createUser(name: string) {
      const email = `${name.toLowerCase()}@example.com`;
      const input = { email, password: 'correct horse', firstName: name, lastName: 'Test' };
      const { createAccount } = await client.run(
        null,
        'mutation ($input: CreateAccountInput!) { createAccount(input: $input) { user { id } } }',
        { input },
      );
      return { ...actorOf(createAccount.user.id), email };
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
  return client;
}

/** Copies data without the null prototypes of graphql-js, which fail comparisons. */
const plainCopy = (data: unknown): ResponseData => JSON.parse(JSON.stringify(data));

const sessionOf = (actor: ActorRef): Session => ({
  actor,
  tokenId: 'test',
  issuedAt: null,
  expiresAt: Date.now() + 60_000,
});

export function actorOf(globalId: string): ActorRef {
  const parsed = parseGlobalId(globalId);
  if (parsed === undefined) throw new Error(`Not the id of an actor: ${globalId}`);
  return { kind: parsed.type.toLowerCase(), id: parsed.id } as ActorRef;
}

const causeOf = (error: GraphQLError | undefined): Error =>
  error?.originalError ?? error ?? new Error('The operation has neither data nor an error');

function failureOf(error: GraphQLError | undefined): { code: ErrorCode } & ErrorDetails {
  const cause = causeOf(error);
  if (cause instanceof DomainError) return { code: cause.code, ...cause.details };
  throw new Error(`Not a domain error: ${String(error)}`);
}
