export { createGateway } from './gateway.ts';
export type { GatewayOptions, TestGateway } from './gateway.ts';
export { loginTestDevice } from './account.ts';
export type { NewAccount, TestAccount } from './account.ts';
export { createGraphqlClient } from './graphql-client.ts';
export type { GraphqlAnswer, GraphqlClient, GraphqlErrorBody, TestSubscription } from './graphql-client.ts';
export { connectLegacy } from './legacy-client.ts';
export type { LegacyClient, LegacyFrame, LegacyIo, LegacyOptions } from './legacy-client.ts';
