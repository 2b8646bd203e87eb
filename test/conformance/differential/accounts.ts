import type { TestAccount, TestGateway } from '../../../src/testing/index.ts';

/** The accounts that every run of the scenario shares. Each run has its own circle. */
export interface Accounts {
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  /** Observes, and does not act. */
  readonly eve: TestAccount;
  readonly yan: TestAccount;
  readonly zoe: TestAccount;
}

export async function createAccounts(app: TestGateway): Promise<Accounts> {
  const createAccount = (name: string) =>
    app.createAccount({ email: `${name}@example.com`, firstName: name });
  return {
    ann: await createAccount('ann'),
    bob: await createAccount('bob'),
    eve: await createAccount('eve'),
    yan: await createAccount('yan'),
    zoe: await createAccount('zoe'),
  };
}
