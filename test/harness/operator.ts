import type { Data, GraphqlResponse } from '../../src/testing/graphql-client.ts';

/** Sends operations to `/admin/graphql`, as an operator on the same machine or with a token. */
export interface Operator {
  send<Result = Data>(query: string, variables?: Data): Promise<GraphqlResponse<Result>>;
  /** Returns the data. Throws if the response has errors. */
  run<Result = Data>(query: string, variables?: Data): Promise<Result>;
  /** Sends an operation that must fail, and returns the code of its first error. */
  expectError(query: string, variables?: Data): Promise<unknown>;
}

export function createOperator(url: string, token?: string): Operator {
  const send = async <Result>(query: string, variables?: Data): Promise<GraphqlResponse<Result>> => {
    const response = await fetch(`${url}/admin/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query, variables }),
    });
    const body = (await response.json()) as Omit<GraphqlResponse<Result>, 'status'>;
    return { status: response.status, ...body };
  };
  return {
    send,
    async run<Result>(query: string, variables?: Data) {
      const { data, errors } = await send<Result>(query, variables);
      if (errors !== undefined || data === null || data === undefined)
        throw new Error(JSON.stringify(errors ?? 'The response has no data.'));
      return data;
    },
    async expectError(query, variables) {
      const { errors } = await send(query, variables);
      if (errors === undefined) throw new Error('The operation succeeded.');
      return errors[0]?.extensions?.['code'];
    },
  };
}
