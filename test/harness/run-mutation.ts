import type { TestAccount } from '../../src/testing/index.ts';

const TYPES: Readonly<Record<string, string>> = { id: 'ID!', allowed: 'Boolean!' };

/** Runs a mutation such as `leaveCircle(circleId: $id)`, and returns the id in its result. Other variables are strings. */
export async function runMutation(
  account: TestAccount,
  field: string,
  variables: Readonly<Record<string, unknown>>,
): Promise<string> {
  const parameters = Object.keys(variables).map((name) => `$${name}: ${TYPES[name] ?? 'String!'}`);
  const { result } = await account.graphql.run<{ result: { id: string } }>(
    `mutation (${parameters.join(', ')}) { result: ${field} { id } }`,
    variables,
  );
  return result.id;
}
