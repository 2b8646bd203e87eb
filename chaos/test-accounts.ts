import { setTimeout as pause } from 'node:timers/promises';
import { circleOf, conversationOf, createGraphqlClient } from '../src/testing/index.ts';
import type { Named } from '../src/testing/index.ts';
import { createTestAccount } from '../src/testing/account.ts';
import type { TestAccount } from '../src/testing/account.ts';
import type { Stored } from './delivery-log.ts';

const ANSWER_MS = 4_000;
const PAGE = `query ($id: ID!, $after: String) {
  conversation(id: $id) { messages(first: 100, after: $after) { nodes { legacyId text } pageInfo { hasNextPage endCursor } } }
}`;

/** Who talks to whom in a scenario. */
export interface World {
  readonly url: string;
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  readonly conversation: Named;
}

export async function createWorld(url: string): Promise<World> {
  const anonymous = createGraphqlClient(url);
  const [ann, bob, eve] = [
    await createTestAccount(url, anonymous),
    await createTestAccount(url, anonymous),
    await createTestAccount(url, anonymous),
  ];
  const circle = await circleOf(ann, bob, eve);
  return { url, ann, bob, conversation: await conversationOf(ann, circle, bob, eve) };
}

export type Answer<Data> =
  | { readonly data: Data }
  | { readonly code: string }
  /** Nobody answered, or something that is no answer of the gateway. */
  | undefined;

/** Asks once, as one account. */
export async function ask<Data>(
  { url }: Pick<World, 'url'>,
  { token }: Pick<TestAccount, 'token'>,
  query: string,
  variables: Record<string, unknown>,
): Promise<Answer<Data>> {
  try {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      signal: AbortSignal.timeout(ANSWER_MS),
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await response.json()) as {
      data?: Data | null;
      errors?: { extensions?: { code?: string } }[];
    };
    if (errors !== undefined) return { code: errors[0]?.extensions?.code ?? 'none' };
    return data === undefined || data === null ? undefined : { data };
  } catch {
    return undefined;
  }
}

/** Asks until there is an answer that is no outage. */
export async function insist<Data>(...request: Parameters<typeof ask>): Promise<Answer<Data>> {
  for (;;) {
    const answer = await ask<Data>(...request);
    if (answer !== undefined && !('code' in answer && ['UNAVAILABLE', 'INTERNAL'].includes(answer.code)))
      return answer;
    await pause(100);
  }
}

interface Page {
  readonly nodes: readonly { readonly legacyId: number; readonly text: string }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

async function readPage(world: World, after: string | null): Promise<Page> {
  const variables = { id: world.conversation.id, after };
  const answer = await insist<{ conversation: { messages: Page } }>(world, world.ann, PAGE, variables);
  if (answer === undefined || 'code' in answer) throw new Error('The messages cannot be read.');
  return answer.data.conversation.messages;
}

/** Every message that is in the database. */
export async function readAll(world: World): Promise<Stored[]> {
  const stored: Stored[] = [];
  for (let after: string | null = null; ;) {
    const { nodes, pageInfo }: Page = await readPage(world, after);
    stored.push(...nodes.map(({ legacyId, text }) => ({ id: legacyId, text })));
    if (!pageInfo.hasNextPage) return stored;
    after = pageInfo.endCursor;
  }
}
