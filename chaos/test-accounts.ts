import { setTimeout as pause } from 'node:timers/promises';
import { createCircle, createConversation, createGraphqlClient } from '../src/testing/index.ts';
import type { Entity } from '../src/testing/index.ts';
import { createTestAccount } from '../src/testing/account.ts';
import type { TestAccount } from '../src/testing/account.ts';
import type { StoredMessage } from './delivery-log.ts';

const TIMEOUT_MS = 4_000;
const MESSAGES_PAGE = `query ($id: ID!, $after: String) {
  conversation(id: $id) { messages(first: 100, after: $after) { nodes { legacyId text } pageInfo { hasNextPage endCursor } } }
}`;

/** The accounts and the conversation of a scenario. */
export interface TestAccounts {
  readonly url: string;
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  readonly eve: TestAccount;
  readonly dan: TestAccount;
  readonly conversation: Entity;
}

export async function createTestAccounts(url: string): Promise<TestAccounts> {
  const anonymous = createGraphqlClient(url);
  const [ann, bob, eve, dan] = [
    await createTestAccount(url, anonymous),
    await createTestAccount(url, anonymous),
    await createTestAccount(url, anonymous),
    await createTestAccount(url, anonymous),
  ];
  const circle = await createCircle(ann, bob, eve, dan);
  const conversation = await createConversation(ann, circle, bob, eve, dan);
  return { url, ann, bob, eve, dan, conversation };
}

export type Response<Data> =
  | { readonly data: Data }
  | { readonly code: string }
  /** No response, or not one of the gateway. */
  | undefined;

/** Runs an operation once, as an account. */
export async function request<Data>(
  { url }: Pick<TestAccounts, 'url'>,
  { token }: Pick<TestAccount, 'token'>,
  query: string,
  variables: Record<string, unknown>,
): Promise<Response<Data>> {
  try {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      signal: AbortSignal.timeout(TIMEOUT_MS),
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

/** Repeats an operation until its result is not an outage. */
export async function requestUntilAvailable<Data>(
  ...args: Parameters<typeof request>
): Promise<Response<Data>> {
  for (;;) {
    const response = await request<Data>(...args);
    if (
      response !== undefined &&
      !('code' in response && ['UNAVAILABLE', 'INTERNAL'].includes(response.code))
    )
      return response;
    await pause(100);
  }
}

interface Page {
  readonly nodes: readonly { readonly legacyId: number; readonly text: string }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

async function readPage(accounts: TestAccounts, after: string | null): Promise<Page> {
  const variables = { id: accounts.conversation.id, after };
  const response = await requestUntilAvailable<{ conversation: { messages: Page } }>(
    accounts,
    accounts.ann,
    MESSAGES_PAGE,
    variables,
  );
  if (response === undefined || 'code' in response) throw new Error('The messages cannot be read.');
  return response.data.conversation.messages;
}

/** Reads every message of the conversation. */
export async function readAllMessages(accounts: TestAccounts): Promise<StoredMessage[]> {
  const stored: StoredMessage[] = [];
  for (let after: string | null = null; ;) {
    const { nodes, pageInfo }: Page = await readPage(accounts, after);
    stored.push(...nodes.map(({ legacyId, text }) => ({ id: legacyId, text })));
    if (!pageInfo.hasNextPage) return stored;
    after = pageInfo.endCursor;
  }
}
