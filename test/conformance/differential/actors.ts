import type { TestAccount, TestGateway } from '../../../src/testing/index.ts';

/** Those who live through it again and again, each time in a new circle. */
export interface Cast {
  readonly app: TestGateway;
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  /** Watches, and does nothing. */
  readonly eve: TestAccount;
  readonly yan: TestAccount;
  readonly zoe: TestAccount;
}

export async function createCast(app: TestGateway): Promise<Cast> {
  const account = (name: string) => app.createAccount({ email: `${name}@example.com`, firstName: name });
  const [ann, bob, eve, yan, zoe] = [
    await account('ann'),
    await account('bob'),
    await account('eve'),
    await account('yan'),
    await account('zoe'),
  ];
  return { app, ann, bob, eve, yan, zoe };
}
