import type { CodegenConfig } from '@graphql-codegen/cli';

// Generates the typed operations of the bridge from the printed schema, as erasable TypeScript.
const config: CodegenConfig = {
  schema: 'schema.graphql',
  documents: 'src/bridge/contract/operations.graphql',
  generates: {
    'src/bridge/contract/operations.generated.ts': {
      plugins: ['typescript-operations', 'typed-document-node'],
      config: {
        enumType: 'string-literal',
        useTypeImports: true,
        strictScalars: true,
        scalars: {
          ID: 'string',
          DateTime: 'string',
          Date: 'string',
          Cursor: 'string',
          JSON: 'unknown',
          Upload: 'never',
        },
      },
    },
  },
};

export default config;
