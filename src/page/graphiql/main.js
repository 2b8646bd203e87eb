import { createAccountBar } from './accounts.js';
import { createFetcher } from './fetcher.js';
import { createStorage } from './storage.js';

const root = document.getElementById('graphiql');
const { accounts, endpoint, ...options } = JSON.parse(root.dataset.options);

// Read by the editor when it needs a worker.
self.MonacoEnvironment = {
  globalAPI: false,
  getWorkerUrl: (_module, label) => `/graphiql/vendor/${label}.js`,
};

const account = createAccountBar(document.getElementById('accounts'), accounts, endpoint);
globalThis.YogaGraphiQL.renderYogaGraphiQL(root, {
  ...options,
  // The default of GraphiQL, its history. Yoga has replaced it by an explorer.
  plugins: undefined,
  // Headers have tokens.
  shouldPersistHeaders: false,
  storage: createStorage(localStorage),
  fetcher: createFetcher({ endpoint, getToken: account.getToken }),
});
