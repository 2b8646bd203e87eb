/** The requests to the routes that know no accounts, in the order of the columns. */
export const REQUESTS = {
  local: 'of the same machine, where `HOST` is a loopback address',
  remoteWithoutSetting: 'from elsewhere, without the setting `ADMIN_TOKEN`',
  remote: 'from elsewhere, without a token',
  remoteAccount: 'from elsewhere, with the token of an account',
  remoteOperator: 'from elsewhere, with the `ADMIN_TOKEN`',
} as const;

export type RequestName = keyof typeof REQUESTS;

export const REQUEST_NAMES = Object.keys(REQUESTS) as RequestName[];

/** The status of a response to each request. */
export interface RouteRow {
  readonly path: string;
  readonly statuses: Readonly<Record<RequestName, number>>;
}

const forEveryone = (path: string): RouteRow => ({
  path,
  statuses: { local: 200, remoteWithoutSetting: 200, remote: 200, remoteAccount: 200, remoteOperator: 200 },
});

const forOperators = (path: string): RouteRow => ({
  path,
  statuses: { local: 200, remoteWithoutSetting: 404, remote: 401, remoteAccount: 401, remoteOperator: 200 },
});

/** The page itself has no data, and asks for the token. */
const pageOfOperators = (path: string): RouteRow => ({
  path,
  statuses: { local: 200, remoteWithoutSetting: 404, remote: 200, remoteAccount: 200, remoteOperator: 200 },
});

export const ROUTES: readonly RouteRow[] = [
  forEveryone('/'),
  forEveryone('/channels'),
  forEveryone('/asyncapi.yaml'),
  forEveryone('/README.md'),
  forEveryone('/ARCHITECTURE.md'),
  forEveryone('/CHANGELOG.md'),
  forEveryone('/CONTRIBUTING.md'),
  forEveryone('/SECURITY.md'),
  forEveryone('/schema.graphql'),
  forEveryone('/docs/errors.md'),
  forEveryone('/page/style.css'),
  forEveryone('/graphiql/main.js'),
  forEveryone('/demo/restart'),
  forEveryone('/demo/phone'),
  forEveryone('/healthz'),
  forEveryone('/readyz'),
  forOperators('/metrics'),
  forOperators('/legacy-report'),
  forOperators('/admin/graphql?query={__typename}'),
  pageOfOperators('/admin'),
];
