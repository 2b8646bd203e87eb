import { readdirSync } from 'node:fs';

/** Locates the libraries of pages, as installed, and `parley/client` as built, by their names there. */
export function findPageModules(): Map<string, URL> {
  const graphqlWs = new URL(import.meta.resolve('graphql-ws/client'));
  // graphql-ws 6.4.2 has one client module, which imports a module shared with the server, named by a hash.
  const shared = readdirSync(new URL('.', graphqlWs)).filter((name) => /^common-[\w-]+\.js$/.test(name));
  return new Map([
    ['vendor/parley-client.js', new URL('../../../client/index.js', import.meta.url)],
    ['vendor/graphql-ws/client.js', graphqlWs],
    ['vendor/qr.js', new URL(import.meta.resolve('qr'))],
    ...shared.map((name) => [`vendor/graphql-ws/${name}`, new URL(name, graphqlWs)] as const),
  ]);
}
