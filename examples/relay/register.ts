// Replaces each graphql`…` by the compiler's artifact, as babel-plugin-relay does in a bundler.
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { transformFileSync } from '@babel/core';

const folder = new URL('.', import.meta.url).href;
registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier.endsWith('.graphql') ? `${specifier}.ts` : specifier, context),
  load(url, context, next) {
    const module = next(url, context);
    if (!url.startsWith(folder)) return module;
    const transformed = transformFileSync(fileURLToPath(url), {
      cwd: fileURLToPath(folder),
      plugins: ['@babel/plugin-syntax-typescript', 'relay'],
    });
    return { ...module, source: transformed?.code ?? '' };
  },
});
